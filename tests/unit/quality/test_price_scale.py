"""Errors of scale: a market, a share of it, one stored day, minutes without a day. True moves of that size pass."""

from datetime import date, datetime, timedelta

import pytest

from pipelines.market.calendar import calendar

DAYS = [s.session_date for s in calendar("XNYS").between(date(2024, 1, 2), date(2024, 1, 12))]
NAMES = [f"S{n:02}" for n in range(40)]


def bar(name: str, day: date, price: float, volume: int = 1000) -> tuple[object, ...]:
    return (name, day, price, price * 1.01, price * 0.99, price, volume)


def market(day: date, scale: float = 1, scaled: int = len(NAMES)) -> list[tuple[object, ...]]:
    """Forty instruments; the first `scaled` of them at `scale` times their price."""
    drift = 1 + day.day / 1000
    return [bar(name, day, (50 + n) * drift * (scale if n < scaled else 1), 1000 + n * day.day) for n, name in enumerate(NAMES)]


def minutes(name: str, day: date, price: float) -> list[tuple[object, ...]]:
    opened = datetime.fromisoformat(f"{day} 09:30")
    return [(name, opened + timedelta(minutes=n), price, price * 1.001, price * 0.999, price, 10) for n in range(60)]


@pytest.fixture(scope="module")
def taken_in(module_pipeline, bars_csv):
    module_pipeline.ingest(module_pipeline.deliver("first.csv", bars_csv([row for day in DAYS[:3] for row in market(day)])))
    return module_pipeline


@pytest.fixture
def three_sessions(taken_in, pipeline):
    return pipeline.go_on_from(taken_in)


def take(pipeline, bars_csv, rows) -> tuple[int, set[str]]:
    """Rows of a delivery that were let in, and the rules that stopped the others."""
    before = pipeline.rows("quarantine")
    tables = pipeline.ingest(pipeline.deliver(f"{len(before)}-{abs(hash(str(rows)))}.csv", bars_csv(rows)))
    held = pipeline.rows("quarantine").join(before, on=["batch_id", "row_number", "rule"], how="anti")
    return sum(t["accepted"] + t["restated"] for name, t in tables.items() if name.startswith("bars_")), set(held["rule"])


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("scale", [15, 2, 1.5, 0.1, 0.01])
def test_a_whole_market_of_another_scale_is_refused(three_sessions, bars_csv, scale: float) -> None:
    accepted, rules = take(three_sessions, bars_csv, market(DAYS[3], scale))
    assert accepted == 0
    assert rules <= {"session_refused:market_keeps_its_scale", "out_of_line"}
    assert three_sessions.rows("bars_daily")["session_date"].max() == DAYS[2]


@pytest.mark.parametrize("scale", [15, 1.5, 0.1])
def test_a_share_of_the_rows_of_another_scale_refuses_the_session(three_sessions, bars_csv, scale: float) -> None:
    assert take(three_sessions, bars_csv, market(DAYS[3], scale, scaled=6)) == (0, {"session_refused:few_prices_jump"})


def test_a_crash_of_the_market_and_four_splits_on_one_day_are_let_in(three_sessions, bars_csv) -> None:
    crash = market(DAYS[3], 0.85)
    assert take(three_sessions, bars_csv, crash) == (40, set())
    assert take(three_sessions, bars_csv, [*market(DAYS[4], 0.5, scaled=4)]) == (40, set())


@pytest.mark.parametrize("scale", [15, 1.6, 0.1])
def test_one_stored_day_delivered_again_at_another_scale_changes_nothing(three_sessions, bars_csv, scale: float) -> None:
    for day in DAYS[1:3]:  # between two sessions, and the newest
        accepted, rules = take(three_sessions, bars_csv, [bar("S00", day, 50 * scale)])
        assert (accepted, rules) == (0, {"out_of_line"})
    assert three_sessions.rows("bars_daily_superseded").is_empty()


def test_a_correction_of_a_stored_day_that_was_of_another_scale_is_let_in(three_sessions, bars_csv) -> None:
    assert take(three_sessions, bars_csv, [bar("S00", DAYS[3], 100)])[0] == 1
    assert take(three_sessions, bars_csv, [bar("S00", DAYS[3], 50.2), bar("S00", DAYS[4], 50.3)]) == (2, set())


@pytest.mark.parametrize("fall", [0.48, 0.22, 1.9])
def test_a_crash_a_split_and_a_leap_that_stay_are_let_in(three_sessions, bars_csv, fall: float) -> None:
    rows = [bar("S00", day, 50 * fall) for day in DAYS[3:6]]
    assert take(three_sessions, bars_csv, rows) == (3, set())


@pytest.mark.parametrize("scale", [100, 0.01])
def test_minutes_of_another_scale_without_a_daily_bar_are_held_against_the_last_close(
    three_sessions, bars_csv, scale: float
) -> None:
    rows = [*minutes("S00", DAYS[3], 50 * scale), *minutes("S01", DAYS[3], 51)]
    assert take(three_sessions, bars_csv, rows) == (60, {"out_of_line"})
    assert three_sessions.rows("bars_1m")["symbol"].unique().to_list() == ["S01"]


@pytest.mark.parametrize(("scaled", "rule"), [(6, "few_prices_jump"), (40, "market_keeps_its_scale")])
def test_minutes_of_a_market_or_a_share_of_it_of_another_scale_without_daily_bars_are_refused(
    three_sessions, bars_csv, scaled: int, rule: str
) -> None:
    opened = datetime.fromisoformat(f"{DAYS[3]} 09:30")
    scales = [2 if n < scaled else 1 for n in range(len(NAMES))]
    rows = [
        (name, opened + timedelta(minutes=m), p, p, p, p, 10)
        for n, name in enumerate(NAMES)
        for m, p in enumerate([(50 + n) * scales[n]] * 3)
    ]
    accepted, rules = take(three_sessions, bars_csv, rows)
    assert accepted == 0
    assert f"session_refused:{rule}" in rules


@pytest.mark.slow
@pytest.mark.measured
def test_minutes_alone_in_the_lake_are_held_against_the_minutes_before(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("first.csv", bars_csv(minutes("S00", DAYS[0], 50))))
    assert take(pipeline, bars_csv, minutes("S00", DAYS[1], 5000)) == (0, {"out_of_line"})
    assert take(pipeline, bars_csv, minutes("S00", DAYS[2], 51)) == (60, set())


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("scale", [1.5, 0.9])
def test_minutes_that_the_stored_day_contradicts_do_not_replace_right_ones(three_sessions, bars_csv, scale: float) -> None:
    assert take(three_sessions, bars_csv, minutes("S00", DAYS[2], 50.2))[0] == 60
    accepted, rules = take(three_sessions, bars_csv, minutes("S00", DAYS[2], 50.2 * scale))
    assert (accepted, rules) == (0, {"session_refused:minutes_trade_within_the_day"})
    assert three_sessions.rows("bars_1m")["close"].unique().to_list() == [50.2]


@pytest.mark.parametrize(("close", "traded"), [(501, 50.1), (90, 70), (30, 40)])
def test_a_daily_bar_that_its_own_minutes_contradict_is_held(three_sessions, bars_csv, close: float, traded: float) -> None:
    """The last two are no tenfold error: the minutes moved the same way, half as far."""
    daily = three_sessions.deliver("day.csv", bars_csv([bar("S00", DAYS[3], close)]))
    minute = three_sessions.deliver("minutes.csv", bars_csv(minutes("S00", DAYS[3], traded)))
    figures = three_sessions.ingest(daily, minute)
    assert (figures["bars_daily"]["quarantined"], figures["bars_1m"]["accepted"]) == (1, 60)
    assert three_sessions.quarantined() == [("bars_daily", "out_of_line")]


def test_a_high_that_the_day_s_minutes_contradict_is_held_on_the_newest_session(three_sessions, bars_csv) -> None:
    wide = ("S00", DAYS[3], 50.1, 200, 49.8, 50.1, 1000)
    minute = three_sessions.deliver("minutes.csv", bars_csv(minutes("S00", DAYS[3], 50.1)))
    figures = three_sessions.ingest(three_sessions.deliver("day.csv", bars_csv([wide])), minute)
    assert (figures["bars_daily"]["quarantined"], figures["bars_1m"]["accepted"]) == (1, 60)
    assert three_sessions.quarantined() == [("bars_daily", "out_of_line")]


def test_what_the_file_itself_prints_as_previous_close_is_held_against_it(pipeline) -> None:
    """The first file of an empty lake, in which a share of the prices is in paise."""
    head = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
    lines = [
        f"{name},EQ,{p},{p},{p},{p},{p},{50 + n},100,,03-JAN-2019,7,,\n"
        for n, name in enumerate(NAMES)
        for p in [(50 + n) * (100 if n < 6 else 1)]
    ]
    pipeline.ingest(pipeline.deliver("cm03JAN2019bhav.csv", head + "".join(lines), source="nse_bhavcopy", mic="XNSE"))
    assert pipeline.rows("bars_daily", "XNSE").is_empty()
    assert set(pipeline.quarantined("XNSE")) == {("bars_daily", "session_refused:few_prices_jump")}
