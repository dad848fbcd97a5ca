"""The registry: the contract's columns in order, honest declarations, and plug-ins that cannot clash."""

import re
from importlib import import_module
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from pipelines.indicators import registry as module
from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute
from pipelines.indicators.frame import CLOSE
from pipelines.indicators.jit import kernel
from pipelines.indicators.model import Indicator, Output, StateField
from pipelines.indicators.registry import REGISTRY, Registry, load_plugins

CONTRACT = """
sma_20 sma_50 sma_200 ema_12 ema_20 ema_26 ema_50 wma_20 macd macd_signal macd_hist rsi_14 stoch_k stoch_d stoch_rsi_14
cci_20 willr_14 roc_10 mfi_14 atr_14 natr_14 adx_14 plus_di_14 minus_di_14 aroon_up_25 aroon_down_25 bb_upper_20
bb_middle_20 bb_lower_20 keltner_upper_20 keltner_lower_20 donchian_upper_20 donchian_lower_20 supertrend_10
supertrend_direction_10 psar ichimoku_tenkan ichimoku_kijun ichimoku_span_a ichimoku_span_b obv vwap trix_15 cmo_14
"""


@kernel
def total_close(frame, span, state, marks, snapshots, out):
    first, stop, _, _ = span
    mark = 0
    for i in range(first, stop):
        state[0] += frame[CLOSE, i]
        out[0, i - first] = state[0]
        if i == marks[mark]:
            snapshots[mark, 0] = state[0]
            mark += 1


def plugin(name="total", column="total_close", state_field="total"):
    return Indicator(
        name=name,
        kernel=f"{__name__}:total_close",
        inputs=("close",),
        parameters={},
        outputs=(Output(column, "price", "Sum of all closes."),),
        lookback=0,
        warm_up=1,
        formula="Σ close",
        source="this test",
        state_fields=(StateField(state_field, "price"),),
    )


def bars(n, seed=1):
    rng = np.random.default_rng(seed)
    close = 50 + np.cumsum(rng.normal(0, 1, n)) * 0.1
    volume = rng.integers(1, 100, n).astype(float)
    return BarArrays(np.array([0, n]), close, close + 0.3, close - 0.2, close, volume, close * volume, np.arange(n))


def test_columns_are_the_contracts_in_its_order():
    assert REGISTRY.columns() == tuple(CONTRACT.split())
    assert len(REGISTRY.columns()) == len(set(REGISTRY.columns()))


def test_state_layout_begins_with_the_bar_count_and_has_a_unit_for_each_field():
    names = [state_field.name for state_field in REGISTRY.state_fields()]
    assert names[0] == "bars"
    assert len(set(names)) == REGISTRY.state_width() == len(REGISTRY.state_units())
    assert set(REGISTRY.state_units()) <= {"price", "volume", "price_volume", "ratio", "count"}


@pytest.mark.parametrize("indicator", REGISTRY, ids=lambda indicator: indicator.name)
def test_declared_kernel_exists_and_words_are_there(indicator):
    path, _, function = indicator.kernel.partition(":")
    assert getattr(import_module(path), function).__doc__
    assert indicator.formula
    assert indicator.source
    assert all(output.description.endswith(".") for output in indicator.outputs)


@pytest.mark.parametrize("indicator", REGISTRY, ids=lambda indicator: indicator.name)
def test_declared_warm_up_is_the_bar_of_the_first_value(indicator):
    result = compute(bars(300), registry=Registry([indicator]))
    first = min(np.flatnonzero(~np.isnan(values))[0] for values in result.columns.values())
    assert first + 1 == indicator.warm_up


@pytest.mark.parametrize("indicator", REGISTRY, ids=lambda indicator: indicator.name)
def test_declared_look_back_is_all_the_tail_an_indicator_needs(indicator):
    alone = Registry([indicator])
    whole = bars(500)
    full = compute(whole, registry=alone)
    for cut in (1, 40, 230, 333):
        start = max(0, cut - indicator.lookback)
        names = ("open", "high", "low", "close", "volume", "turnover", "session")
        rest = BarArrays(np.array([0, 500 - start]), *(getattr(whole, name)[start:] for name in names))
        ours = compute(rest, [cut - start], full.state[[cut - 1]], registry=alone)
        for name, values in ours.columns.items():
            np.testing.assert_array_equal(values, full.columns[name][cut:], err_msg=f"{name} cut at {cut}")


def test_windows_named_in_columns_are_those_of_the_parameters():
    for indicator in REGISTRY:
        numbers = {int(x) for output in indicator.outputs for x in re.findall(r"_(\d+)$", output.name)}
        assert numbers <= {int(x) for x in indicator.parameters.values()}, indicator.name


def test_a_plug_in_is_computed_with_its_state_after_the_built_in_columns():
    registry = Registry(REGISTRY, REGISTRY.columns())
    registry.add(plugin())
    whole = bars(60)
    result = compute(whole, registry=registry)
    assert registry.columns()[-1] == "total_close"
    np.testing.assert_allclose(result.columns["total_close"], np.cumsum(whole.close))
    assert result.state[-1, -1] == result.columns["total_close"][-1]


@pytest.mark.parametrize(
    ("indicator", "message"),
    [
        (plugin(name="rsi"), "'rsi' is registered already"),
        (plugin(column="sma_20"), "column sma_20 exists"),
        (plugin(column="bars_seen"), "column bars_seen exists"),
        (plugin(state_field="obv"), "state field obv exists"),
    ],
)
def test_a_plug_in_that_takes_a_name_in_use_is_refused(indicator, message):
    registry = Registry(REGISTRY)
    with pytest.raises(ValueError, match=message):
        registry.add(indicator)
    assert len(registry) == len(REGISTRY)


def test_entry_points_are_loaded_once_and_checked(monkeypatch):
    found = [EntryPoint("mine", f"{__name__}:PLUGINS", "marketlake.indicators")]
    monkeypatch.setattr(module, "entry_points", lambda group: found)
    monkeypatch.setattr(EntryPoint, "load", lambda self: [plugin()])
    registry = Registry(REGISTRY)
    assert load_plugins(registry) == ("total",)
    assert load_plugins(registry) == ()
    monkeypatch.setattr(EntryPoint, "load", lambda self: [42])
    assert load_plugins(registry) == ()
    assert "mine" in registry.broken["mine"]
    assert "a int; it must name an Indicator" in registry.broken["mine"]


@pytest.mark.parametrize("error", [RuntimeError("no\nlicence"), SystemExit(2), ImportError("gone")])
def test_a_faulty_package_is_left_out_as_a_whole_and_the_others_are_loaded(monkeypatch, error):
    def load(entry):
        if entry.name == "faulty":
            raise error
        return [plugin(name="good", column="good_close", state_field="good")] + (
            [plugin(name="rsi")] if entry.name == "half" else []
        )

    points = [EntryPoint(name, f"{name}:P", "marketlake.indicators") for name in ("faulty", "good", "half")]
    monkeypatch.setattr(module, "entry_points", lambda group: points)
    monkeypatch.setattr(EntryPoint, "load", load)
    registry = Registry(REGISTRY)
    assert load_plugins(registry) == ("good",)
    assert set(registry.broken) == {"faulty", "half"}
    assert "\n" not in registry.broken["faulty"]


def test_an_unknown_indicator_is_named_with_the_known_ones():
    with pytest.raises(KeyError, match="no indicator 'sma_20'; known are sma, ema"):
        REGISTRY["sma_20"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": ("price",)}, "unknown inputs"),
        ({"outputs": ()}, "no outputs"),
        ({"lookback": -1}, "lookback"),
        ({"kernel": "nowhere"}, "module:function"),
        ({"state_fields": (StateField("x", "rupees"),)}, "unit 'rupees'"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(change, message):
    kept = {name: getattr(plugin(), name) for name in Indicator.__slots__}
    with pytest.raises(ValueError, match=message):
        Indicator(**(kept | change))
