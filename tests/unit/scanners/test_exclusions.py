"""Every instrument that a scan leaves out is named, with the reason that keeps it out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.scanners.engine.runner import ScanEngine, ScanInputs
from pipelines.scanners.registry import CompiledScanners

Build = Any  # the fixture's record, in conftest.py


def reasons(
    compiled: CompiledScanners, inputs: ScanInputs, moment: Any, scanner: str, parameters: Any = None, universe: str | None = None
) -> dict[str, str]:
    with ScanEngine(compiled, inputs, explain=True) as engine:
        found = engine.run_as_of(moment, [scanner], parameters, universe=universe)
    left = found.left_out
    judged = found.runs["instruments_scanned"].item()
    assert set(left["scanner_name"]) <= {scanner}
    if universe is None:
        refused = left.filter(pl.col("reason").str.starts_with("signal refused")).height
        trade_to_trade = left.filter(pl.col("reason").str.starts_with("trade-to-trade")).height
        assert left.height - refused - trade_to_trade >= found.runs["universe_size"].item() - judged
    return {row["symbol"]: row["reason"] for row in left.iter_rows(named=True)}


def _without(symbol: str, ago: int, build: Build) -> ScanInputs:
    session = build.sessions[-1 - ago].session_date
    gone = (pl.col("symbol") == symbol) & (pl.col("session_date") == session)
    return replace(build.inputs, bars_daily=build.inputs.bars_daily.filter(~gone))


def test_nothing_is_explained_unless_asked(build: Build, compiled: CompiledScanners) -> None:
    with ScanEngine(compiled, build.inputs) as engine:
        assert engine.run(build.sessions[-1].closes_at, ["breakout_20d"]).left_out.is_empty()


@pytest.mark.parametrize(
    ("scanner", "change", "expected"),
    [
        ("breakout_20d", lambda b: b.inputs, {"YOUNG": "11 of the 20 regular sessions before have no bar; the first bar is of "}),
        ("breakout_20d", lambda b: _without("RISE", 3, b), {"RISE": "1 of the 20 regular sessions before have no bar"}),
        ("breakout_20d", lambda b: _without("RISE", 0, b), {"RISE": "no daily bar of 2024-06-28"}),
        ("technical_golden_cross", lambda b: b.inputs, {"TIE": "sma_50 is not known after|sma_200 is not known after"}),
        ("narrow_range", lambda b: _without("FALL", 2, b), {"FALL": "1 of the 7 regular sessions before have no bar"}),
        ("candlestick_reversal", lambda b: _without("FALL", 2, b), {"FALL": "1 of the 12 regular sessions before have no bar"}),
        ("relative_volume", lambda b: b.inputs, {"RISE": "minutes of 1 of the 20 regular sessions before"}),
    ],
)
def test_what_is_not_there_is_the_reason(
    build: Build, compiled: CompiledScanners, scanner: str, change: Callable[[Build], ScanInputs], expected: dict[str, str]
) -> None:
    found = reasons(compiled, change(build), build.sessions[-1].closes_at, scanner)

    for symbol, reason in expected.items():
        assert any(found[symbol].startswith(one) for one in reason.split("|")), found


def test_within_the_session_a_missing_minute_is_told(build: Build, compiled: CompiledScanners) -> None:
    session = build.sessions[-1]
    minutes = build.inputs.bars_1m.filter(pl.col("symbol") != "TIE")
    found = reasons(
        compiled, replace(build.inputs, bars_1m=minutes), session.opens_at + timedelta(minutes=20), "breakout_previous_day"
    )

    assert found["TIE"] == f"no one-minute bar of {session.session_date} by then"
    assert "RISE" not in found


def test_an_action_of_unknown_ratio_is_named_with_its_day(build: Build, compiled: CompiledScanners) -> None:
    session = build.sessions[-5]
    row = pl.DataFrame(
        [("XNSE:QUIET", session.session_date, "demerger", "XNSE", None, session.opens_at)],
        schema=["instrument_id", "ex_date", "action", "exchange", "ratio", "known_at"],
        orient="row",
    )
    inputs = replace(build.inputs, corporate_actions=pl.concat([build.inputs.corporate_actions, row], how="vertical_relaxed"))
    found = reasons(compiled, inputs, build.sessions[-1].closes_at, "breakout_20d")

    assert found["QUIET"] == (
        f"the ratio of its demerger of {session.session_date} is unknown: prices before and after do not compare"
    )


def test_a_refused_signal_is_told(build: Build, compiled: CompiledScanners) -> None:
    found = reasons(
        compiled, build.inputs, build.sessions[-1].closes_at, "breakout_20d", {"breakout_20d": {"stop_atr": 0, "target_atr": 9}}
    )

    assert found["RISE"] == found["FALL"] == "signal refused: its stop lies within 0.1 % of the entry"


def test_a_listed_share_that_does_not_trade_is_told_where_a_list_asks_for_it(build: Build, compiled: CompiledScanners) -> None:
    from pipelines.scanners.universes import read_universes

    idle = build.inputs.instruments.filter(symbol="RISE").with_columns(symbol=pl.lit("IDLE"), instrument_id=pl.lit("XNSE:IDLE"))
    lists = read_universes(None, 1.0).with_watchlist(["IDLE", "RISE"])
    inputs = replace(build.inputs, instruments=pl.concat([build.inputs.instruments, idle]), universe_members=lists.members)
    found = reasons(compiled, inputs, build.sessions[-1].closes_at, "breakout_20d", universe="watchlist")

    assert found == {"IDLE": f"no bar in the 20 sessions before {build.sessions[-1].session_date}"}
