"""Relative volume, CRP and opening ranges, worked out again from raw minutes without any SQL, signal for signal.

Once over made-up minutes with gaps, a split, a trade-to-trade series and a special session, once over NSE's real minutes of 2016.
"""

import json
import zipfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.market.calendar import calendar
from pipelines.scanners.engine.runner import ScanEngine, ScanInputs
from pipelines.scanners.registry import CompiledScanners
from tests.support.intraday_truth import (
    CUT_OFF,
    Found,
    World,
    as_found,
    assert_same,
    expected_at,
    expected_ranges,
    scanned,
    so_far,
    world,
)

Build = Any  # the fixture's record, in conftest.py


@pytest.fixture(scope="module")
def made_up() -> World:
    """25 sessions of 2024 around the special one of Saturday 2 March. SPLIT is PLAIN at half the price from the 23rd on."""
    sessions = calendar("XNSE").between(date(2024, 2, 8), date(2024, 3, 15))
    source = np.random.default_rng(7)
    frames = []
    for name in ("A", "B", "C", "PLAIN", "BARRED"):
        for at, session in enumerate(sessions):
            steps = source.normal(0, 0.15, 375).cumsum().round(1)
            close = 200 + steps
            stamps = [session.opens_at + timedelta(minutes=m) for m in range(375)]
            day = pl.DataFrame({"ts": stamps, "open": close, "high": close + 0.2, "low": close - 0.2, "close": close}).with_columns(
                symbol=pl.lit(name),
                session_date=pl.lit(session.session_date),
                volume=pl.Series(source.integers(1, 60, 375) * 2 * (1 + at % 3)),
            )
            frames.append(day.filter(pl.Series(source.random(375) < 0.7) & (pl.col("ts") < session.closes_at)))
    minutes = pl.concat(frames)
    plain = minutes.filter(pl.col("symbol") == "PLAIN")
    late = pl.col("session_date") >= sessions[22].session_date
    divided = [pl.when(late).then(pl.col(c) / 2).otherwise(c).alias(c) for c in ("open", "high", "low", "close")]
    split = plain.with_columns(
        *divided, symbol=pl.lit("SPLIT"), volume=pl.when(late).then(pl.col("volume") * 2).otherwise("volume")
    )
    return world(pl.concat([minutes, split]), sessions, {"SPLIT": (2, 22)}, {"BARRED"})


@pytest.fixture(scope="module")
def recorded(shared: Path) -> World:
    """Fourteen NSE shares over 18 sessions of 2016; minutes that the feed filled in without a trade are left out."""
    frames = []
    for path in sorted((shared / "data" / "nse_minute_2016").glob("*.zip")):
        if path.stem == "NIFTY50":
            continue
        with zipfile.ZipFile(path) as archive:
            text = archive.read(archive.namelist()[0]).replace(b", ", b",")
        frames.append(pl.read_csv(text, schema_overrides=dict.fromkeys(("Open", "High", "Low", "Close"), pl.Float64)))
    minutes = pl.concat(frames).select(
        pl.col("Code").alias("symbol"),
        pl.col("Date").str.to_datetime().dt.replace_time_zone("Asia/Kolkata").dt.convert_time_zone("UTC").alias("ts"),
        pl.col("Date").str.to_datetime().dt.date().alias("session_date"),
        *(pl.col(c).alias(c.lower()) for c in ("Open", "High", "Low", "Close", "Volume")),
    )
    days = minutes["session_date"].unique().sort().to_list()
    sessions = [s for s in calendar("XNSE").between(days[0], days[-1]) if s.session_date in days]
    assert len(sessions) == 18
    return world(minutes.filter(pl.col("volume") > 0), sessions, {}, set())


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("minute", [1, CUT_OFF, 165])
@pytest.mark.parametrize("which", ["made_up", "recorded"])
def test_relative_volume_and_crp_are_what_the_minutes_say(
    compiled: CompiledScanners, request: pytest.FixtureRequest, which: str, minute: int
) -> None:
    w: World = request.getfixturevalue(which)
    places = [at for at, s in enumerate(w.sessions) if at > 0 and s.opens_at + timedelta(minutes=minute) <= s.closes_at]
    signals = scanned(
        compiled,
        w,
        [(at, minute) for at in places],
        ["relative_volume", "crp"],
        {"relative_volume": {"factor": 1.2}},
    )

    expected: Found = {}
    for at in places:
        expected |= expected_at(w, at, minute, factor=1.2)
    assert_same(as_found(w, signals), expected)
    assert minute != CUT_OFF or {key[0] for key in expected} == {"relative_volume", "crp"}


def test_relative_volume_against_the_median(compiled: CompiledScanners, made_up: World) -> None:
    places = list(range(1, len(made_up.sessions)))
    choice = {"relative_volume": {"average": "median", "factor": 1.1}}
    signals = scanned(compiled, made_up, [(at, CUT_OFF) for at in places], ["relative_volume"], choice)

    expected: Found = {}
    for at in places:
        expected |= expected_at(made_up, at, CUT_OFF, "median", 1.1)
    assert_same(as_found(made_up, signals), expected)
    assert expected


@pytest.mark.parametrize("confirmation", ["close", "open"])
def test_relative_volume_asks_for_the_confirmation_it_is_told_to(
    compiled: CompiledScanners, made_up: World, confirmation: str
) -> None:
    places = list(range(1, len(made_up.sessions)))
    choice: dict[str, dict[str, object]] = {"relative_volume": {"confirmation": confirmation, "factor": 1.1}}
    signals = scanned(compiled, made_up, [(at, CUT_OFF) for at in places], ["relative_volume"], choice)

    expected: Found = {}
    both: Found = {}
    for at in places:
        expected |= expected_at(made_up, at, CUT_OFF, factor=1.1, confirmation=confirmation)
        both |= expected_at(made_up, at, CUT_OFF, factor=1.1)
    kept = {key for key in expected if key[0] == "relative_volume"}
    assert_same(as_found(made_up, signals), {key: expected[key] for key in kept})
    assert kept > {key for key in both if key[0] == "relative_volume"}


@pytest.mark.slow
@pytest.mark.parametrize("which", ["made_up", "recorded"])
def test_a_cut_off_shows_what_fired_since_the_open_and_holds_with_the_ids_of_history(
    compiled: CompiledScanners, request: pytest.FixtureRequest, which: str
) -> None:
    w: World = request.getfixturevalue(which)
    at = len(w.sessions) - 2
    names = ["opening_range_15", "opening_range_30"]
    opens = w.sessions[at].opens_at
    history = {length: scanned(compiled, w, [(at, m) for m in range(1, 376)], [f"opening_range_{length}"]) for length in (15, 30)}
    events = {length: expected_ranges(w, at, length) for length in (15, 30)}
    shown = 0
    for minute in (10, 20, CUT_OFF, 120, 300, 375):
        with ScanEngine(compiled, w.inputs) as engine:
            found = engine.run_as_of(opens + timedelta(minutes=minute, seconds=17 if minute < 375 else 0), names)
        expected = set()
        for length, fired in events.items():
            for first, name, _, side in fired:
                opening, seen = so_far(w.bars[name][at], length), so_far(w.bars[name][at], minute)
                assert opening is not None
                if int(first) <= minute and seen and (seen[3] > opening[1] if side == "BUY" else seen[3] < opening[2]):
                    expected.add((f"opening_range_{length}", name, side, opens + timedelta(minutes=int(first))))
        assert set(found.signals.select("scanner_name", "symbol", "signal_type", "ts").rows()) == expected
        assert found.signals["signal_id"].is_in(pl.concat(history.values())["signal_id"].implode()).all()
        assert found.runs.height == len(names)
        shown += len(expected)
    assert shown > len(names)


def test_the_morning_of_2016_09_09_shows_its_breaks_at_the_cut_off(compiled: CompiledScanners, recorded: World) -> None:
    (session,) = [s for s in recorded.sessions if s.session_date == date(2016, 9, 9)]
    moment = session.opens_at + timedelta(minutes=CUT_OFF)
    with ScanEngine(compiled, recorded.inputs) as engine:
        of_the_last_minute = engine.run(moment, ["opening_range_15", "opening_range_30"]).signals
        found = engine.run_as_of(moment, ["opening_range_15", "opening_range_30"]).signals

    # By hand from the files: the range of the first minutes, the first close beyond it, the close of 09:49.
    assert of_the_last_minute.is_empty()
    places = found.with_columns(pl.col("ts").dt.convert_time_zone("Asia/Kolkata").dt.strftime("%H:%M").alias("clock"))
    assert set(places.select("scanner_name", "symbol", "signal_type", "clock").rows()) == {
        ("opening_range_15", "YESBANK", "BUY", "09:31"),
        ("opening_range_15", "ITC", "SELL", "09:31"),
        ("opening_range_15", "MARUTI", "SELL", "09:42"),
        ("opening_range_15", "BAJAJ-AUTO", "SELL", "09:46"),
        ("opening_range_30", "BAJAJ-AUTO", "SELL", "09:46"),
    }


@pytest.mark.parametrize("length", [15, 30])
@pytest.mark.parametrize("which", ["made_up", "recorded"])
def test_an_opening_range_is_left_once_a_side_where_the_minutes_say(
    compiled: CompiledScanners, request: pytest.FixtureRequest, which: str, length: int
) -> None:
    w: World = request.getfixturevalue(which)
    places = list(range(len(w.sessions) - 3, len(w.sessions)))
    name = f"opening_range_{length}"
    signals = scanned(compiled, w, [(at, minute) for at in places for minute in range(1, 376)], [name])

    expected: Found = {}
    for at in places:
        expected |= expected_ranges(w, at, length)
    assert_same(as_found(w, signals, by_minute=True), expected)
    assert signals.group_by("instrument_id", "session_date", "signal_type").len()["len"].max() == 1
    assert len(expected) > len(places)


def test_a_split_within_the_twenty_sessions_leaves_relative_volume_as_it_was(compiled: CompiledScanners, made_up: World) -> None:
    factor: dict[str, dict[str, object]] = {"relative_volume": {"factor": 0.1}}
    signals = scanned(compiled, made_up, [(at, CUT_OFF) for at in range(20, 25)], ["relative_volume"], factor)

    plain, split = (signals.filter(pl.col("symbol") == name).sort("ts") for name in ("PLAIN", "SPLIT"))
    assert plain.height > 2
    assert plain["ts"].equals(split["ts"])
    assert plain["signal_type"].equals(split["signal_type"])
    ratios = [[json.loads(d)["relative_volume"] for d in side["details"]] for side in (plain, split)]
    assert ratios[0] == pytest.approx(ratios[1], abs=1e-6)


def test_a_special_session_and_a_trade_to_trade_series_are_not_judged_within_the_day(
    compiled: CompiledScanners, made_up: World
) -> None:
    special = next(at for at, s in enumerate(made_up.sessions) if s.session_date == date(2024, 3, 2))
    asked = [(made_up.sessions[at].opens_at + timedelta(minutes=CUT_OFF), ["relative_volume"]) for at in (special, special + 1)]
    with ScanEngine(compiled, made_up.inputs) as engine:
        runs = engine.run_at(asked).runs.sort("as_of_ts")

    assert runs["instruments_scanned"].to_list() == [0, 5]
    # BARRED is neither judged nor missed.
    assert runs["universe_size"].to_list() == [5, 5]


def test_a_scanner_of_the_forming_day_misses_a_trade_to_trade_share_without_todays_minutes(
    compiled: CompiledScanners, made_up: World
) -> None:
    session = made_up.sessions[-1]
    gone = (pl.col("symbol") == "BARRED") & (pl.col("session_date") == session.session_date)
    whole = made_up.inputs
    seen = []
    for minutes in (whole.bars_1m, whole.bars_1m.filter(~gone)):
        with ScanEngine(compiled, replace(whole, bars_1m=minutes)) as engine:
            runs = engine.run(session.opens_at + timedelta(minutes=CUT_OFF), ["breakout_previous_day"]).runs
        seen.append(runs.select("instruments_scanned", "universe_size").row(0))

    everyone = whole.bars_1m["symbol"].n_unique()
    assert seen == [(everyone, everyone), (everyone - 1, everyone)]


def test_a_missing_day_before_makes_no_breakout(build: Build, compiled: CompiledScanners) -> None:
    gone = (pl.col("symbol") == "RISE") & (pl.col("session_date") == build.sessions[-2].session_date)
    names = ["breakout_20d", "breakout_previous_day"]
    whole = build.inputs
    for inputs, expected in ((whole, {*names}), (replace(whole, bars_daily=whole.bars_daily.filter(~gone)), set())):
        with ScanEngine(compiled, inputs) as engine:
            signals = engine.run(build.sessions[-1].closes_at, names).signals
        assert set(signals.filter(pl.col("symbol") == "RISE")["scanner_name"]) == expected


def test_a_year_s_high_is_found_in_spite_of_a_few_missing_days(compiled: CompiledScanners, shared: Path) -> None:
    """NSE's daily files of 2022 to 2024 lack some days: up to 5 of the 252 before may be missing, and the row says how many."""
    frame = calendar("XNSE").frame().filter(pl.col("session_date").is_between(date(2022, 1, 1), date(2024, 12, 31)))
    panel = pl.read_parquet(shared / "data" / "nse_daily" / "nse_bhav_panel.parquet")
    daily = (
        panel.filter(pl.col("SYMBOL").is_in(["ITC", "TCS", "INFY"]) & (pl.col("SERIES") == "EQ"))
        .select(
            pl.col("SYMBOL").alias("symbol"),
            pl.col("DATE1").str.to_date("%d-%b-%Y").alias("session_date"),
            *(pl.col(f"{name.upper()}_PRICE").alias(name) for name in ("open", "high", "low", "close")),
            pl.col("TTL_TRD_QNTY").cast(pl.Int64).alias("volume"),
        )
        .unique(["symbol", "session_date"])
        .with_columns(exchange=pl.lit("XNSE"), instrument_id="XNSE:" + pl.col("symbol"))
        .join(frame.select("session_date", known_at="closes_at"), on="session_date")
    )
    instruments = (
        daily.select("exchange", "instrument_id", "symbol").unique().with_columns(valid_from=date(2010, 1, 1), is_active=True)
    )
    regular = frame.filter(kind="regular")["session_date"].to_list()
    expected, gaps = set(), {}
    for (symbol,), bars in daily.group_by("symbol"):
        prices = {row["session_date"]: row for row in bars.iter_rows(named=True)}
        for at in range(252, len(regular)):
            there = [prices[day] for day in regular[at - 252 : at] if day in prices]
            today = prices.get(regular[at])
            if today is None or len(there) < 252 - 5:
                continue
            gaps[symbol, regular[at]] = 252 - len(there)
            if today["close"] > max(bar["high"] for bar in there):
                expected.add((symbol, regular[at], "BUY", 252 - len(there)))
            elif today["close"] < min(bar["low"] for bar in there):
                expected.add((symbol, regular[at], "SELL", 252 - len(there)))
    closes = frame.filter(pl.col("session_date").is_in(regular[252:]))["closes_at"].to_list()
    with ScanEngine(compiled, ScanInputs(calendar("XNSE").frame(), instruments, daily)) as engine:
        found = engine.run_at([(moment, ["breakout_52w"]) for moment in closes], {"breakout_52w": {"volume_factor": 0}})
        strict = engine.run_at(
            [(moment, ["breakout_52w"]) for moment in closes], {"breakout_52w": {"volume_factor": 0, "missing_pct": 0}}
        )

    missing = pl.col("details").str.json_path_match("$.sessions_missing").cast(pl.Int64).alias("missing")
    assert set(found.signals.select("symbol", "session_date", "signal_type", missing).rows()) == expected
    assert found.runs["instruments_scanned"].sum() == len(gaps)
    assert found.runs["instruments_with_gaps"].sum() == sum(gap > 0 for gap in gaps.values())
    assert strict.signals.height == sum(gap == 0 for *_, gap in expected) < len(expected)


@pytest.mark.parametrize(("ratio", "judged", "sold"), [(2580.00 / 2841.85, True, False), (None, False, False), (0.0, True, True)])
def test_the_demerger_of_reliance_is_no_breakdown(
    compiled: CompiledScanners, shared: Path, ratio: float | None, judged: bool, sold: bool
) -> None:
    """A ratio of 0 stands for no action at all: the fall of 9 % would then be sold, below the low of the day before."""
    ex_date = date(2023, 7, 20)
    panel = pl.read_parquet(shared / "data" / "nse_daily" / "nse_bhav_panel.parquet")
    daily = (
        panel.filter((pl.col("SYMBOL") == "RELIANCE") & (pl.col("SERIES") == "EQ"))
        .select(
            pl.col("DATE1").str.to_date("%d-%b-%Y").alias("session_date"),
            *(pl.col(f"{name.upper()}_PRICE").alias(name) for name in ("open", "high", "low", "close")),
            pl.col("TTL_TRD_QNTY").cast(pl.Int64).alias("volume"),
        )
        .unique("session_date")
        .with_columns(exchange=pl.lit("XNSE"), instrument_id=pl.lit("XNSE:RELIANCE"), symbol=pl.lit("RELIANCE"))
        .join(calendar("XNSE").frame().select("session_date", known_at="closes_at"), on="session_date")
        .filter(pl.col("session_date").is_between(date(2023, 1, 1), ex_date))
    )
    session = calendar("XNSE").session(ex_date)
    instruments = (
        daily.select("exchange", "instrument_id", "symbol").unique().with_columns(valid_from=date(2010, 1, 1), is_active=True)
    )
    action = pl.DataFrame(
        [("XNSE:RELIANCE", ex_date, "demerger", "XNSE", ratio, session.opens_at - timedelta(days=9))],
        schema={"instrument_id": pl.String, "ex_date": pl.Date, "action": pl.String, "exchange": pl.String, "ratio": pl.Float64}
        | {"known_at": pl.Datetime("us", "UTC")},
        orient="row",
    )
    inputs = ScanInputs(calendar("XNSE").frame(), instruments, daily, corporate_actions=pl.DataFrame() if sold else action)
    # The panel lacks a day of the 55 sessions before: breakout_55d is not judged on it, whatever the action.
    names = ["breakout_20d", "breakout_previous_day"]
    any_volume: dict[str, dict[str, object]] = {name: {"volume_factor": 0} for name in names}
    with ScanEngine(compiled, inputs) as engine:
        result = engine.run(session.closes_at, names, any_volume)

    assert set(result.runs.filter(pl.col("instruments_scanned") == 1)["scanner_name"]) == ({*names} if judged else set())
    assert set(result.signals.filter(pl.col("signal_type") == "SELL")["scanner_name"]) == (
        {"breakout_previous_day"} if sold else set()
    )
