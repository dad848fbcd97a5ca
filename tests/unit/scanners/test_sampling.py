"""The sample of past evaluation times is the same every time, spread over history, bounded, and has signals of every scanner."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipelines.scanners.verification.sampling import sampled_sessions, sampled_times

FIRST = date(2020, 1, 1)


def scanned(sessions: int, fired: dict[str, set[int]]) -> pl.DataFrame:
    rows = [(name, FIRST + timedelta(days=i), i in days) for name, days in fired.items() for i in range(sessions)]
    return pl.DataFrame(rows, schema=["scanner_name", "session_date", "fired"], orient="row")


def test_sessions_are_spread_over_history_and_are_those_with_signals() -> None:
    often = set(range(0, 1000, 7))

    found = sampled_sessions(scanned(1000, {"often": often}), 4)

    numbers = [(day - FIRST).days for day in found]
    assert [number // 250 for number in numbers] == [0, 1, 2, 3]
    assert set(numbers) <= often
    assert set(map(tuple, found.values())) == {("often",)}


def test_a_scanner_that_seldom_fires_decides_the_session_of_its_span_and_one_that_never_does_is_tried_in_all() -> None:
    found = sampled_sessions(scanned(1000, {"often": set(range(0, 1000, 2)), "once": {613}, "never": set()}), 4)

    assert found[FIRST + timedelta(days=613)] == ["never", "once"]
    assert list(found.values()).count(["never", "often"]) == 3
    assert len(found) == 4


def test_the_sample_does_not_depend_on_the_order_of_rows_and_moves_on_with_the_sessions() -> None:
    rows = scanned(400, {"a": set(range(400)), "b": {17, 300}})

    assert sampled_sessions(rows.sample(fraction=1, shuffle=True, seed=1), 3) == sampled_sessions(rows, 3)
    recent = scanned(400, {"a": set(range(400))})
    nights = {
        tuple(sampled_sessions(recent.filter(pl.col("session_date") < FIRST + timedelta(days=n)), 1)) for n in range(390, 400)
    }
    assert len(nights) > 1
    assert sampled_sessions(rows.clear(), 3) == {}


OPENS = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
MINUTES = [OPENS + timedelta(minutes=i) for i in range(1, 391)]


def runs(asked: list[tuple[str, datetime, int]]) -> pl.DataFrame:
    frame = pl.DataFrame(asked, schema=["scanner_name", "as_of_ts", "signals"], orient="row")
    return frame.with_columns(session_date=pl.lit(OPENS.date()))


def test_of_a_session_the_times_with_signals_come_first_and_each_scanner_has_one() -> None:
    found = sampled_times(runs([("every_bar", at, int(at == MINUTES[77])) for at in MINUTES] + [("close", MINUTES[-1], 0)]), 3)
    assert found == [(MINUTES[77], ["every_bar"]), (MINUTES[-1], ["close"])]


def test_times_are_bounded_and_whom_none_fits_by_signals_is_tried_where_it_was_asked() -> None:
    names = [f"s{i}" for i in range(6)]
    found = sampled_times(runs([(name, at, int(at == MINUTES[i])) for i, name in enumerate(names) for at in MINUTES]), 2)
    assert len(found) == 2
    assert sorted(name for _, tried in found for name in tried) == names
