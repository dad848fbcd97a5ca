"""A live scan and the nightly build give the same rows, and nothing that lies after the moment can change them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.indicators.registry import REGISTRY
from pipelines.quality.row_rules import MOST_PRICE, MOST_VOLUME
from pipelines.scanners.engine.runner import NoSessionError, ScanEngine, run_scanners
from pipelines.scanners.registry import CompiledScanners, UnknownScannerError

Build = Any  # the fixture's record, in conftest.py

#: The scanner that the small lake is made for; what the engine does with it, it does with any.
BREAKOUT = ["breakout_20d"]


@pytest.fixture
def engine(build: Build, compiled: CompiledScanners) -> Iterator[ScanEngine]:
    with ScanEngine(compiled, build.inputs) as opened:
        yield opened


def test_the_last_close_gives_one_buy_and_one_sell(build: Build, engine: ScanEngine) -> None:
    signals = engine.run(build.sessions[-1].closes_at, BREAKOUT).signals

    found = {row["symbol"]: row["signal_type"] for row in signals.iter_rows(named=True)}
    assert found == {"RISE": "BUY", "FALL": "SELL"}


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("ago", [1, 2, 15, 35, 59])
def test_at_a_close_live_rows_equal_nightly_rows_on_all_columns(build: Build, engine: ScanEngine, ago: int) -> None:
    moment = build.sessions[-ago].closes_at
    night = build.rows(f"from marts.scanner_signals where ts = '{moment.isoformat()}'")
    runs = build.rows(f"from marts.scanner_runs where as_of_ts = '{moment.isoformat()}'").sort("scanner_name")

    live = engine.run(moment, runs["scanner_name"].to_list(), mode="nightly")
    assert live.signals.sort("signal_id").equals(night.sort("signal_id"))
    assert live.runs.sort("scanner_name").equals(runs)


def test_a_young_listing_counts_in_the_universe_but_not_as_scanned(build: Build, engine: ScanEngine) -> None:
    runs = engine.run(build.sessions[-1].closes_at, BREAKOUT).runs.row(0, named=True)

    assert (runs["universe_size"], runs["instruments_scanned"], runs["signals"]) == (6, 5, 2)
    assert runs["coverage_pct"] == pytest.approx(500 / 6)


def test_during_the_session_the_breakout_shows_in_the_minute_it_closes(build: Build, engine: ScanEngine) -> None:
    opens = build.sessions[-1].opens_at
    eleventh_closes = opens + timedelta(minutes=11)

    assert engine.run(eleventh_closes - timedelta(seconds=1), BREAKOUT).signals.is_empty()
    signals = engine.run(eleventh_closes, BREAKOUT).signals
    assert signals["symbol"].to_list() == ["RISE"]
    assert signals["ts"].to_list() == [eleventh_closes]
    assert signals["known_at"].to_list() == [eleventh_closes]


def test_a_signal_is_known_since_the_latest_of_its_inputs_was(build: Build, compiled: CompiledScanners) -> None:
    """A bar of five sessions before was restated long after the close; the other share has nothing to do with it."""
    close, restated = build.sessions[-1].closes_at, build.sessions[-1].closes_at + timedelta(days=9)
    theirs = (pl.col("symbol") == "RISE") & (pl.col("session_date") == build.sessions[-6].session_date)
    daily = build.inputs.bars_daily.with_columns(known_at=pl.when(theirs).then(restated).otherwise("known_at"))

    signals = run_scanners(compiled, replace(build.inputs, bars_daily=daily), close, BREAKOUT)

    assert dict(signals.select("symbol", "known_at").iter_rows()) == {"RISE": restated, "FALL": close + timedelta(hours=3)}


@pytest.mark.parametrize("minute", [1, 6, 10, 11, 12, 29])
def test_a_planted_future_changes_nothing(build: Build, compiled: CompiledScanners, minute: int) -> None:
    session = build.sessions[-1]
    moment = session.opens_at + timedelta(minutes=minute)
    known = build.inputs.bars_1m.filter(pl.col("ts") + timedelta(minutes=1) <= moment)
    future = build.inputs.bars_1m.filter(pl.col("ts") + timedelta(minutes=1) > moment).with_columns(
        close=pl.lit(9999.0), volume=pl.lit(10**9, dtype=pl.Int64)
    )
    daily = build.inputs.bars_daily
    later = daily.filter(pl.col("session_date") == session.session_date).with_columns(
        close=pl.lit(1.0), volume=pl.lit(10**9, dtype=pl.Int64)
    )
    earlier = daily.filter(pl.col("session_date") < session.session_date)

    without = run_scanners(compiled, replace(build.inputs, bars_1m=known, bars_daily=earlier), moment, BREAKOUT)
    planted = run_scanners(
        compiled,
        replace(build.inputs, bars_1m=pl.concat([known, future]), bars_daily=pl.concat([earlier, later])),
        moment,
        BREAKOUT,
    )

    assert planted.equals(without)
    assert without.is_empty() == (minute < 11)


@pytest.mark.slow
@pytest.mark.measured
def test_minutes_may_arrive_one_by_one(build: Build, compiled: CompiledScanners) -> None:
    session = build.sessions[-1]
    moment = session.opens_at + timedelta(minutes=12)
    minutes = build.inputs.bars_1m.filter(pl.col("ts") < moment)
    with ScanEngine(compiled, replace(build.inputs, bars_1m=pl.DataFrame())) as engine:
        for part in minutes.partition_by("ts"):
            engine.append("bars_1m", part)

        assert engine.run(moment).signals.equals(run_scanners(compiled, build.inputs, moment))


@pytest.mark.slow
def test_from_minute_to_minute_an_engine_finds_what_a_new_one_would(build: Build, compiled: CompiledScanners) -> None:
    session = build.sessions[-1]
    minutes = build.inputs.bars_1m
    before = replace(build.inputs, bars_1m=minutes.filter(pl.col("ts") < session.opens_at))
    with ScanEngine(compiled, before) as engine:
        for minute in range(8, 14):
            moment = session.opens_at + timedelta(minutes=minute)
            since = moment - timedelta(minutes=1 if minute > 8 else 8)
            engine.append("bars_1m", minutes.filter((pl.col("ts") >= since) & (pl.col("ts") < moment)))
            with ScanEngine(compiled, build.inputs) as new:
                expected = new.run(moment)
            found = engine.run(moment)
            assert found.signals.equals(expected.signals)
            assert found.runs.equals(expected.runs)
            assert set(found.runs["as_of_ts"]) == {moment, build.sessions[-2].closes_at}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["append", "replace"])
def test_what_becomes_known_of_finished_sessions_is_seen_at_the_next_minute(
    build: Build, compiled: CompiledScanners, way: str
) -> None:
    moment = build.sessions[-1].opens_at + timedelta(minutes=10)
    actions = build.inputs.corporate_actions
    demerger = actions.with_columns(
        instrument_id=pl.lit("XNSE:RISE"),
        ex_date=pl.lit(build.sessions[-5].session_date),
        action=pl.lit("demerger"),
        ratio=pl.lit(None, dtype=pl.Float64),
    )
    both = pl.concat([actions, demerger])
    with ScanEngine(compiled, build.inputs) as engine, ScanEngine(compiled, replace(build.inputs, corporate_actions=both)) as new:
        before = engine.run(moment).runs
        if way == "append":
            engine.append("corporate_actions", demerger)
        else:
            engine.replace("corporate_actions", both)
        after = engine.run(moment).runs
        assert after.equals(new.run(moment).runs)

    scanned = dict(before.select("scanner_name", "instruments_scanned").iter_rows())
    assert {"narrow_range", "breakout_20d"} <= {
        row["scanner_name"] for row in after.iter_rows(named=True) if row["instruments_scanned"] == scanned[row["scanner_name"]] - 1
    }


@pytest.mark.slow
@pytest.mark.parametrize("bound", ["low", "high"])
def test_the_dearest_share_and_the_greatest_volume_of_the_gate_overflow_no_scanner(
    build: Build, compiled: CompiledScanners, bound: str
) -> None:
    dearer = MOST_PRICE / build.inputs.bars_daily["high"].max()
    more = MOST_VOLUME // build.inputs.bars_daily["volume"].max()
    prices = pl.col("open", "high", "low", "close") * dearer
    in_prices = [output.name for each in REGISTRY for output in each.outputs if output.unit == "price"]
    inputs = replace(
        build.inputs,
        bars_daily=build.inputs.bars_daily.with_columns(prices, pl.col("volume") * more),
        bars_1m=build.inputs.bars_1m.with_columns(prices, volume=pl.lit(MOST_VOLUME)),
        indicators_daily=build.inputs.indicators_daily.with_columns(pl.col(in_prices) * dearer),
    )
    extremes = {
        name: {p.name: getattr(p, bound) for p in scanner.parameters if not p.choices}
        for name, scanner in compiled.scanners.items()
    }
    session = build.sessions[-1]
    with ScanEngine(compiled, inputs) as engine, ScanEngine(compiled, build.inputs) as usual:
        for moment in (session.opens_at + timedelta(minutes=20), session.closes_at):
            runs, expected = engine.run(moment, parameters=extremes).runs, usual.run(moment, parameters=extremes).runs
            assert runs.drop("signals", "signals_withheld").equals(expected.drop("signals", "signals_withheld"))


def test_a_split_of_today_is_no_breakout(build: Build, engine: ScanEngine) -> None:
    assert "SPLIT" not in engine.run(build.sessions[-1].closes_at, BREAKOUT).signals["symbol"].to_list()

    # Without its record the split is suspected; it sells where the home gives signals across suspected actions.
    engine.replace("corporate_actions", pl.DataFrame())
    assert "SPLIT" not in engine.run(build.sessions[-1].closes_at, BREAKOUT).signals["symbol"].to_list()
    engine.replace("finding_effects", pl.DataFrame({"finding": ["suspected_action"], "effect": ["mark"]}))
    signals = engine.run(build.sessions[-1].closes_at, BREAKOUT).signals
    assert signals.filter(pl.col("symbol") == "SPLIT")["signal_type"].to_list() == ["SELL"]


def test_a_demerger_of_unknown_ratio_within_the_look_back_keeps_the_instrument_out(build: Build, engine: ScanEngine) -> None:
    ex_date = build.sessions[-5].session_date
    action = build.inputs.corporate_actions.with_columns(
        instrument_id=pl.lit("XNSE:RISE"), ex_date=pl.lit(ex_date), action=pl.lit("demerger"), ratio=pl.lit(None, dtype=pl.Float64)
    )
    engine.append("corporate_actions", action)

    result = engine.run(build.sessions[-1].closes_at, BREAKOUT)
    assert result.signals["symbol"].to_list() == ["FALL"]
    assert result.runs["instruments_scanned"].to_list() == [4]


def test_parameters_change_the_rule_and_the_identity_of_signals(build: Build, engine: ScanEngine) -> None:
    moment = build.sessions[-1].closes_at
    usual = engine.run(moment, BREAKOUT).signals
    eager = engine.run(moment, BREAKOUT, parameters={"breakout_20d": {"volume_factor": 1.0}}).signals

    assert "QUIET" in eager["symbol"].to_list()
    assert set(eager["signal_id"]).isdisjoint(usual["signal_id"])


def test_an_unknown_scanner_or_parameter_is_named(build: Build, engine: ScanEngine) -> None:
    moment = build.sessions[-1].closes_at

    with pytest.raises(UnknownScannerError, match="did you mean breakout_20d"):
        engine.run(moment, ["breakout_20"])
    with pytest.raises(UnknownScannerError, match="volume_factor"):
        engine.run(moment, parameters={"breakout_20d": {"volum": 1.0}})
    with pytest.raises(ValueError, match=r"outside 0\.0 … 100\.0"):
        engine.run(moment, parameters={"breakout_20d": {"stop_atr": -1.0}})


def test_a_moment_needs_a_time_zone_and_a_session(engine: ScanEngine) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        engine.run(datetime(2024, 6, 28, 10))  # noqa: DTZ001
    with pytest.raises(NoSessionError, match="1901"):
        engine.run(datetime.fromisoformat("1901-01-01T00:00:00+00:00"))


def test_a_frame_that_lacks_a_column_is_refused(build: Build, engine: ScanEngine) -> None:
    with pytest.raises(ValueError, match="bars_daily: the frame lacks close"):
        engine.replace("bars_daily", build.inputs.bars_daily.drop("close"))
