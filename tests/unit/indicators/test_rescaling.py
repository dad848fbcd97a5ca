"""Corporate actions: state and tail move to the new basis, earlier rows stay as they were."""

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays, Rescales
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import REGISTRY

PRICE_COLUMNS = {output.name for output in REGISTRY.outputs() if output.unit == "price"}
AT = 300


def raw_bars(factor, n=700):
    """One instrument whose quoted prices change basis at bar AT, and the same with all prices in the last basis."""
    rng = np.random.default_rng(4)
    close = 80 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    high, low = close * (1 + rng.random(n) * 0.02), close * (1 - rng.random(n) * 0.02)
    volume = rng.integers(1_000, 9_000, n).astype(float)
    before = np.arange(n) < AT
    price, shares = np.where(before, 1 / factor, 1.0), np.where(before, factor, 1.0)

    def of(price, shares):
        values = (close * price, high * price, low * price, close * price, volume * shares)
        return BarArrays(np.array([0, n]), *values, close * volume, np.arange(n))

    return of(price, shares), of(1.0, 1.0)


@pytest.mark.parametrize("factor", [0.5, 0.2, 1 / 3])
def test_from_a_split_on_values_are_those_of_a_history_in_the_new_basis(factor):
    raw, restated = raw_bars(factor)
    ours = compute(raw, rescales=Rescales.splits([AT], [factor]))
    truth = compute(restated)
    for name in REGISTRY.columns():
        np.testing.assert_allclose(ours.columns[name][AT:], truth.columns[name][AT:], rtol=1e-9, atol=1e-7, err_msg=name)


def test_before_a_split_values_are_in_their_own_basis():
    raw, _ = raw_bars(0.5)
    ours, ignorant = compute(raw, rescales=Rescales.splits([AT], [0.5])), compute(raw)
    for name in REGISTRY.columns():
        np.testing.assert_array_equal(ours.columns[name][:AT], ignorant.columns[name][:AT])


def test_a_split_by_half_is_exact_and_leaves_no_trace_in_oscillators():
    raw, restated = raw_bars(0.5)
    ours = compute(raw, rescales=Rescales.splits([AT], [0.5]))
    truth = compute(restated)
    for name in ("rsi_14", "adx_14", "stoch_k", "cci_20", "mfi_14", "supertrend_direction_10", "macd", "sma_200", "obv"):
        np.testing.assert_array_equal(ours.columns[name][AT:], truth.columns[name][AT:], err_msg=name)


def test_a_demerger_moves_prices_and_leaves_volumes():
    raw, restated = raw_bars(0.8)
    volume = restated.volume
    bars = BarArrays(raw.offsets, raw.open, raw.high, raw.low, raw.close, volume, raw.turnover, raw.session)
    ours = compute(bars, rescales=Rescales([AT], [0.8], [1.0]))
    truth = compute(restated)
    for name in sorted(PRICE_COLUMNS | {"obv", "mfi_14"}):
        np.testing.assert_allclose(ours.columns[name][AT:], truth.columns[name][AT:], rtol=1e-9, err_msg=name)


def test_an_action_before_the_first_bar_changes_nothing():
    raw, _ = raw_bars(0.5)
    for name, values in compute(raw, rescales=Rescales.splits([0], [0.5])).columns.items():
        np.testing.assert_array_equal(values, compute(raw).columns[name])


@pytest.mark.parametrize(
    ("bar", "price", "volume", "message"),
    [
        ([3, 1], [0.5, 0.5], [1, 1], "ascend"),
        ([1], [0.0], [1], "positive"),
        ([1], [np.nan], [1], "positive"),
        ([1, 2], [0.5], [1], "shape"),
    ],
)
def test_rescales_that_make_no_sense_are_refused(bar, price, volume, message):
    with pytest.raises(ValueError, match=message):
        Rescales(bar, price, volume)
