"""Indicators of chosen parameters: the contract's bits at the contract's parameters, no seam, no look-ahead, clear refusals."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.indicators.arrays import BarArrays, Rescales
from pipelines.indicators.custom.families import FAMILIES
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import REGISTRY, Registry

CONTRACT = {
    "sma": [20],
    "ema": [50],
    "wma": [20],
    "macd": [12, 26, 9],
    "trix": [15],
    "rsi": [14],
    "cmo": [14],
    "stoch_rsi": [14, 3],
    "stochastics": [14, 3, 3],
    "willr": [14],
    "cci": [20],
    "roc": [10],
    "mfi": [14],
    "atr": [14],
    "natr": [14],
    "adx": [14],
    "aroon": [25],
    "bollinger": [20, 2],
    "keltner": [20, 10, 2],
    "donchian": [20],
    "supertrend": [10, 3],
    "psar": [0.02, 0.2],
    "ichimoku": [9, 26, 52],
}
OTHERS = {
    "sma": [7],
    "ema": [9],
    "wma": [5],
    "macd": [5, 35, 5],
    "trix": [4],
    "rsi": [7],
    "cmo": [21],
    "stoch_rsi": [5, 2],
    "stochastics": [9, 2, 4],
    "willr": [3],
    "cci": [33],
    "roc": [1],
    "mfi": [5],
    "atr": [5],
    "natr": [21],
    "adx": [5],
    "aroon": [10],
    "bollinger": [50, 2.5],
    "keltner": [7, 12, 1.5],
    "donchian": [55],
    "supertrend": [7, 2],
    "psar": [0.01, 0.1],
    "ichimoku": [7, 22, 44],
}


def registry_of(values):
    return Registry(
        family.indicator(dict(zip([p.name for p in family.parameters], values[name], strict=True)))
        for name, family in FAMILIES.items()
    )


def bars(n, seed=5, sessions_of=1):
    rng = np.random.default_rng(seed)
    close = np.round(50 * np.exp(np.cumsum(rng.normal(0, 0.02, n))), 2)
    high, low = np.round(close * (1 + rng.random(n) * 0.02), 2), np.round(close * (1 - rng.random(n) * 0.02), 2)
    volume = rng.integers(0, 10_000, n).astype(float)
    return BarArrays(np.array([0, n]), close, high, low, close, volume, close * volume, np.arange(n) // sessions_of)


def part(whole, start, stop):
    names = ("open", "high", "low", "close", "volume", "turnover", "session")
    return BarArrays(np.array([0, stop - start]), *(getattr(whole, name)[start:stop] for name in names))


def test_every_family_is_tested_here():
    assert set(CONTRACT) == set(OTHERS) == set(FAMILIES)


def test_at_the_contracts_parameters_every_column_has_the_contracts_bits():
    whole = bars(2500)
    ours, contract = compute(whole, registry=registry_of(CONTRACT)).columns, compute(whole).columns
    named = [name if name in contract else re.sub(r"(_\d+(p\d+)?)+$", "", name) for name in ours]
    assert len(set(named)) == len(ours) == 37
    for name, column in zip(ours, named, strict=True):
        np.testing.assert_array_equal(ours[name], contract[column], err_msg=name)


def test_chosen_columns_change_no_bit_of_the_others():
    whole = bars(2300)
    wider = Registry([*REGISTRY, FAMILIES["sma"].indicator({"window": 600}), FAMILIES["rsi"].indicator({"window": 7})])
    alone, beside = compute(whole).columns, compute(whole, registry=wider).columns
    for name in alone:
        np.testing.assert_array_equal(alone[name], beside[name], err_msg=name)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 2295), intraday=st.booleans(), split=st.integers(1, 2299))
def test_continuing_from_carried_state_gives_the_bits_of_a_full_run(cut, intraday, split):
    registry = registry_of(OTHERS)
    whole = bars(2300, sessions_of=30 if intraday else 1)
    full = compute(whole, rescales=Rescales.splits([split], [0.5]), intraday=intraday, registry=registry)
    before = [split] if split < cut else []
    head = compute(part(whole, 0, cut), rescales=Rescales.splits(before, [0.5] * len(before)), intraday=intraday, registry=registry)
    start = max(0, cut - registry.lookback())
    after = [split - start] if split > start else []
    rest = compute(
        part(whole, start, 2300),
        np.array([cut - start]),
        head.state[-1:],
        Rescales.splits(after, [0.5] * len(after)),
        intraday=intraday,
        registry=registry,
    )
    for name in registry.columns():
        np.testing.assert_array_equal(rest.columns[name], full.columns[name][cut:], err_msg=name)


def test_the_first_value_stands_on_the_bar_that_warm_up_says():
    whole = bars(400)
    for indicator in registry_of(OTHERS):
        result = compute(whole, registry=Registry([indicator]))
        firsts = [int(np.argmax(~np.isnan(values))) + 1 for values in result.columns.values()]
        assert min(firsts) == indicator.warm_up, indicator.name


def test_bounds_of_the_contracts_column_hold():
    registry = registry_of(OTHERS)
    columns = compute(bars(1500), registry=registry).columns
    bounded = [o for o in registry.outputs() if o.low is not None or o.high is not None]
    assert len(bounded) > 10
    for output in bounded:
        values = columns[output.name]
        assert np.nanmin(values) >= (output.low if output.low is not None else -np.inf) - 1e-9, output.name
        assert np.nanmax(values) <= (output.high if output.high is not None else np.inf) + 1e-9, output.name


@pytest.mark.parametrize(
    ("family", "given", "columns"),
    [
        ("rsi", {"window": 7}, ("rsi_7",)),
        ("bollinger", {"window": 50}, ("bb_upper_50", "bb_middle_50", "bb_lower_50")),
        ("bollinger", {"window": 50, "deviations": 2.5}, ("bb_upper_50_2p5", "bb_middle_50_2p5", "bb_lower_50_2p5")),
        ("stochastics", {"window": 5, "smooth_k": 5}, ("stoch_k_5_5", "stoch_d_5_5")),
        ("stochastics", {"window": 5, "smooth_d": 5}, ("stoch_k_5_3_5", "stoch_d_5_3_5")),
        ("macd", {"fast": 5, "slow": 35, "signal": 5}, ("macd_5_35_5", "macd_signal_5_35_5", "macd_hist_5_35_5")),
    ],
)
def test_columns_are_named_by_their_parameters(family, given, columns):
    assert tuple(output.name for output in FAMILIES[family].indicator(given).outputs) == columns


@pytest.mark.parametrize(
    ("family", "given", "message"),
    [
        ("rsi", {}, "rsi: window is missing; give a whole number from 2 to 1000"),
        ("rsi", {"window": 1}, "rsi: window is 1; give a whole number from 2 to 1000"),
        ("sma", {"window": 1001}, "sma: window is 1001"),
        ("sma", {"window": 2.5}, "sma: window is 2.5; give a whole number"),
        ("sma", {"window": "ten"}, "sma: window is 'ten'"),
        ("sma", {"window": True}, "sma: window is True"),
        ("sma", {"length": 5}, "sma has no parameter 'length'; it has window"),
        ("macd", {"fast": 26, "slow": 12, "signal": 9}, "macd: fast must be shorter than slow"),
        ("psar", {"step": 0.3, "limit": 0.2}, "psar: step must not exceed limit"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(family, given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FAMILIES[family].indicator(given)
