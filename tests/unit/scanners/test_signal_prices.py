"""No signal is issued with a price that no order could bear, whoever wrote the scanner: planted offenders and real bars."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from pipelines.scanners.engine.python_scanner import PythonScanner, Reads
from pipelines.scanners.engine.runner import ScanEngine, ScanResult
from pipelines.scanners.extensions import plugins
from pipelines.scanners.registry import CompiledScanners

Build = Any  # the fixture's record, in conftest.py

#: Side, entry, target, stop as a scanner gives them; what is issued of it: None for nothing, else target and stop.
PLANTED: Mapping[str, tuple[str, float, float | None, float | None, tuple[float | None, float | None] | None]] = {
    "a sound buy": ("BUY", 100.0, 110.0, 95.0, (110.0, 95.0)),
    "a sound sale": ("SELL", 100.0, 90.0, 105.0, (90.0, 105.0)),
    "no target and no stop": ("BUY", 100.0, None, None, (None, None)),
    "target below zero": ("SELL", 10.0, -2.0, 14.0, (None, 14.0)),
    "target at zero": ("SELL", 10.0, 0.0, 14.0, (None, 14.0)),
    "target at the entry": ("BUY", 100.0, 100.0, 95.0, (None, 95.0)),
    "target behind the entry": ("BUY", 100.0, 99.0, 95.0, (None, 95.0)),
    "target beyond all numbers": ("BUY", 100.0, math.inf, 95.0, (None, 95.0)),
    "target that is no number": ("BUY", 100.0, math.nan, 95.0, (None, 95.0)),
    "stop at the entry": ("BUY", 100.0, 110.0, 100.0, None),
    "stop exactly 0.1 % away": ("BUY", 100.0, 110.0, 99.9, None),
    "stop a tick farther": ("BUY", 100.0, 110.0, 99.8999, (110.0, 99.8999)),
    "stop 0.1 % above a sale": ("SELL", 100.0, 90.0, 100.1, None),
    "stop above a buy": ("BUY", 100.0, 110.0, 101.0, None),
    "stop below a sale": ("SELL", 100.0, 90.0, 99.0, None),
    "stop of a sale below zero": ("SELL", 100.0, 90.0, -1.0, None),
    "stop of a buy below zero": ("BUY", 5.0, 11.0, -1.0, (11.0, None)),
    "entry at zero": ("BUY", 0.0, 110.0, None, None),
    "entry that is no number": ("BUY", math.nan, 110.0, None, None),
}


def _issued(found: ScanResult) -> dict[str, tuple[float | None, float | None]]:
    return {row["symbol"]: (row["target_price"], row["stop_loss"]) for row in found.signals.iter_rows(named=True)}


def _expected() -> dict[str, tuple[float | None, float | None]]:
    return {name: issued for name, (*_, issued) in PLANTED.items() if issued is not None}


def _rows() -> pl.DataFrame:
    columns = ["symbol", "signal_type", "entry_price", "target_price", "stop_loss"]
    types = dict.fromkeys(columns[2:], pl.Float64)
    return pl.DataFrame([(name, *planted[:4]) for name, planted in PLANTED.items()], columns, schema_overrides=types, orient="row")


@pytest.fixture
def planted(build: Build, compiled: CompiledScanners) -> tuple[CompiledScanners, Any, datetime]:
    """A scanner's place taken by another's text, inputs that know the planted instruments, and a moment to scan at."""
    names = pl.DataFrame({"symbol": list(PLANTED)})
    last = build.sessions[-1]
    template = build.inputs.bars_daily.filter(symbol="RISE")
    bars = names.join(template.drop("symbol"), how="cross").with_columns(instrument_id=pl.col("symbol"))
    listed = build.inputs.instruments.filter(symbol="RISE").drop("symbol")
    instruments = names.join(listed, how="cross").with_columns(instrument_id=pl.col("symbol"))
    inputs = replace(build.inputs, bars_daily=bars, instruments=instruments, corporate_actions=pl.DataFrame())
    return compiled, replace(inputs, indicators_daily=pl.DataFrame(), bars_1m=pl.DataFrame()), last.closes_at


def test_a_scanner_in_sql_that_lays_out_its_rows_itself_issues_only_usable_prices(planted: Any) -> None:
    compiled, inputs, moment = planted
    values = ", ".join(
        f"('{name}', '{side}', {_literal(entry)}, {_literal(target)}, {_literal(stop)})"
        for name, (side, entry, target, stop, _) in PLANTED.items()
    )
    sql = (
        "select 'XNSE' as exchange, symbol as instrument_id, symbol, date '2024-06-28' as session_date, "
        f"timestamptz '{moment.isoformat()}' as ts, '1d' as timeframe, signal_type, entry_price, target_price, stop_loss, "
        "0.5::double as confidence_score, '{\"reason\": 1}' as details, "
        f"timestamptz '{moment.isoformat()}' as known_at "
        f"from (values {values}) as rows (symbol, signal_type, entry_price, target_price, stop_loss)"
    )
    relation = compiled.scanner("breakout_20d").relation
    models = {**compiled.models, relation: replace(compiled.models[relation], sql=sql)}
    with ScanEngine(replace(compiled, models=models), inputs) as engine:
        found = engine.run(moment, ["breakout_20d"])
        refused = engine.query(
            "select symbol, refused_for, signal_type, target_price, stop_loss, confidence_score, details "
            "from intermediate.int_scanner_evaluations where refused_for is not null"
        )

    assert _issued(found) == _expected()
    run = found.runs.row(0, named=True)
    # A refused signal is HOLD: the instrument was judged.
    assert (run["instruments_scanned"], run["signals"], run["signals_withheld"]) == (len(PLANTED), len(_expected()), 0)
    assert run["signals_refused"] == len(PLANTED) - len(_expected())
    assert set(refused.drop("symbol", "refused_for").rows()) == {("HOLD", None, None, 0.0, "{}")}
    reasons = dict(refused.select("symbol", "refused_for").rows())
    assert reasons["stop exactly 0.1 % away"] == reasons["stop at the entry"] == "stop_at_entry"
    assert reasons["stop of a sale below zero"] == reasons["stop above a buy"] == "stop_on_wrong_side"
    assert reasons["entry at zero"] == reasons["entry that is no number"] == "no_entry_price"


def test_a_scanner_in_python_issues_only_usable_prices(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, inputs, moment = planted
    side = pl.col("signal_type").replace_strict({"BUY": 1, "SELL": -1})

    def decide(frames: Mapping[str, pl.DataFrame], values: Mapping[str, float | str]) -> pl.DataFrame:
        return _rows().select(
            pl.lit(moment).alias("as_of_ts"), pl.col("symbol").alias("instrument_id"), side.alias("side"), "entry_price",
            "target_price", "stop_loss", score=0.5, known_at=pl.lit(datetime(2024, 6, 28, 11, tzinfo=UTC)),
        )  # fmt: skip

    scanner = PythonScanner(
        "breakout_20d", 1, "acme", "Planted.", "none", "forming_daily", {"day_so_far": Reads(("last_price",))}, decide
    )
    monkeypatch.setattr(plugins, "python_scanner", lambda name: scanner)
    relation = compiled.scanner("breakout_20d").relation
    models = {**compiled.models, relation: replace(compiled.models[relation], sql="", python="breakout_20d")}
    with ScanEngine(replace(compiled, models=models), inputs) as engine:
        assert _issued(engine.run(moment, ["breakout_20d"])) == _expected()


@pytest.mark.slow
def test_candlesticks_that_close_at_their_stop_are_not_issued_on_real_bars(bundled: Any, compiled: CompiledScanners) -> None:
    names = ["candlestick_reversal", "candlestick_continuation"]
    closes = bundled.bars["closes_at"].unique().sort().to_list()[200:800]
    with ScanEngine(compiled, bundled.inputs) as engine:
        found = engine.run_at([(moment, names) for moment in closes])
        raw = pl.concat([engine.query(f"from {compiled.scanner(name).relation}") for name in names]).filter(
            pl.col("signal_type") != "HOLD"
        )

    near = (pl.col("entry_price") - pl.col("stop_loss")).abs() <= 0.001 * pl.col("entry_price") + 1e-9
    offenders = raw.filter(near).height
    assert offenders > 5
    assert found.signals.filter(near).is_empty()
    assert found.signals.height == raw.height - offenders
    assert found.runs["signals_refused"].sum() == offenders


def _literal(value: float | None) -> str:
    return "null::double" if value is None else f"'{value}'::double"
