"""The sample of past evaluation times is the same every time, spread over history, bounded, and has signals of every scanner."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipelines.scanners.sampling import sampled_sessions, sampled_times

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


def test_a_scanner_that_rarely_fires_has_a_session_of_its_signals_and_one_that_never_does_the_others_sessions() -> None:
    found = sampled_sessions(scanned(1000, {"often": set(range(0, 1000, 2)), "once": {613}, "never": set()}), 4)

    assert found[FIRST + timedelta(days=613)] == ["once"]
    assert list(found.values()).count(["never", "often"]) == 4
    assert len(found) == 5


def test_without_sessions_of_its_own_a_scanner_is_tried_in_those_of_the_others() -> None:
    rows = scanned(1000, {"often": set(range(0, 1000, 2)), "once": {613}, "never": set()})
    assert list(sampled_sessions(rows, 1, with_signals=False).values()) == [["never", "often", "once"]]


def test_the_sample_does_not_depend_on_the_order_of_rows_and_moves_on_with_the_sessions() -> None:
    rows = scanned(400, {"a": set(range(400)), "b": {17, 300}})

    assert sampled_sessions(rows.sample(fraction=1, shuffle=True, seed=1), 3) == sampled_sessions(rows, 3)
    recent = scanned(400, {"a": set(range(400))})
    nights = {
        tuple(sampled_sessions(recent.filter(pl.col("session_date") < FIRST + timedelta(days=n)), 1)) for n in range(390, 400)
    }
    assert len(nights) > 1
    assert sampled_sessions(rows.clear(), 3) == {}


def test_of_a_session_two_times_a_scanner_are_sampled_and_those_with_signals_come_first() -> None:
    opens = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
    minutes = [opens + timedelta(minutes=i) for i in range(1, 391)]
    rows = [("every_bar", at, int(at == minutes[77])) for at in minutes] + [("close", minutes[-1], 0)]
    runs = pl.DataFrame(rows, schema=["scanner_name", "as_of_ts", "signals"], orient="row").with_columns(
        session_date=pl.lit(opens.date())
    )

    found = sampled_times(runs, 2)

    assert minutes[77] in [at for at, names in found if "every_bar" in names]
    assert sum("every_bar" in names for _, names in found) == 2
    assert [at for at, names in found if "close" in names] == [minutes[-1]]
