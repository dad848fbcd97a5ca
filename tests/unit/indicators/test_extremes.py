"""Zeros, constants, huge prices, too few bars, missing volume: values are defined or NaN, never infinite, never noisy."""

import warnings

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import REGISTRY

OUTPUTS = {output.name: output for output in REGISTRY.outputs()}


def flat(price, n, volume=100.0):
    values = np.full(n, float(price))
    return BarArrays(np.array([0, n]), values, values, values, values, np.full(n, volume), np.full(n, np.nan), np.arange(n))


def walk(n, scale=1.0, seed=2, volume=None):
    rng = np.random.default_rng(seed)
    close = scale * np.exp(np.cumsum(rng.normal(0, 0.05, n)))
    high, low = close * (1 + rng.random(n) * 0.05), close * (1 - rng.random(n) * 0.05)
    shares = rng.integers(0, 10**6, n).astype(float) if volume is None else np.full(n, volume)
    return BarArrays(np.array([0, n]), close.copy(), high, low, close, shares, close * shares, np.arange(n))


CASES = {
    "zeros": flat(0, 300, 0.0),
    "constant": flat(33.333333333333336, 300),
    "constant without volume": flat(7.1, 300, 0.0),
    "huge constant": flat(1e14, 300),
    "huge": walk(300, 1e14),
    "tiny": walk(300, 1e-9),
    "missing volume": walk(300, volume=np.nan),
    "no trade at all": walk(300, volume=0.0),
    "one bar": walk(1),
    "two bars": walk(2),
    "no bar": walk(0),
    "random": walk(5_000, 100),
}


@pytest.mark.parametrize("intraday", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_values_are_defined_or_nan_within_bounds_and_without_warnings(case, intraday):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = compute(CASES[case], intraday=intraday)
    n = CASES[case].session.size
    assert np.isfinite(result.state).all()
    for name, values in result.columns.items():
        assert values.size == n
        assert not np.isinf(values).any(), name
        output, known = OUTPUTS[name], values[~np.isnan(values)]
        slack = 1e-9 * 100
        assert output.low is None or (known >= output.low - slack).all(), name
        assert output.high is None or (known <= output.high + slack).all(), name


@pytest.mark.parametrize("price", [33.333333333333336, 0.1, 1e14])
def test_a_constant_price_has_no_spread_at_all(price):
    found = {name: values[-1] for name, values in compute(flat(price, 300)).columns.items()}
    for name in ("bb_upper_20", "bb_lower_20", "donchian_upper_20", "ichimoku_span_b", "supertrend_10", "sma_20", "ema_50"):
        assert found[name] == pytest.approx(price, rel=1e-15), name
    for name in ("cci_20", "atr_14", "adx_14", "rsi_14", "cmo_14", "stoch_k", "stoch_rsi_14", "willr_14", "roc_10", "mfi_14"):
        assert found[name] == 0, name
    assert found["bb_upper_20"] == found["bb_lower_20"] == found["bb_middle_20"]


def test_a_missing_volume_leaves_the_on_balance_total_and_blanks_the_flow_windows_that_hold_it():
    bars = walk(100)
    bars.volume[50] = np.nan
    found = compute(bars).columns
    assert np.isnan(found["obv"]).sum() == 1
    assert np.isnan(found["obv"][50])
    assert np.flatnonzero(np.isnan(found["mfi_14"])).tolist() == [*range(14), *range(50, 64)]


@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_price_that_is_not_finite_is_refused_by_name_and_bar(name, value):
    bars = walk(30)
    getattr(bars, name)[17] = value
    with pytest.raises(ValueError, match=f"{name} of bar 17"):
        compute(bars)


def test_an_infinite_volume_is_refused():
    bars = walk(30)
    bars.volume[3] = np.inf
    with pytest.raises(ValueError, match="volume of bar 3"):
        compute(bars)
