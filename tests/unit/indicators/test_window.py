"""A window continued from carried state equals the full run bit for bit, whatever the cut, the chunks and the gaps."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import duckdb
import numpy as np
import polars as pl
import pytest

from pipelines.indicators.registry import REGISTRY
from pipelines.indicators.window import build_window

FIRST = date(2023, 1, 2)
DAYS = 320
SPLIT_DAY = 200


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; create schema lake; create schema staging; create schema intermediate")
        days = [FIRST + timedelta(days=i) for i in range(DAYS)]
        opens = [datetime(day.year, day.month, day.day, 9, tzinfo=UTC) for day in days]
        sessions = pl.DataFrame({"session_date": days, "opens_at": opens, "bars_expected": [30] * DAYS})
        _create(connection, "staging.stg_sessions", sessions)
        actions = pl.DataFrame(
            {
                "instrument_id": ["X:SPLIT", "X:SPLIT"],
                "ex_date": [FIRST + timedelta(days=SPLIT_DAY), FIRST + timedelta(days=SPLIT_DAY + 40)],
                "action": ["split", "demerger"],
                "price_factor": [1 / 3, 0.9],
                "volume_divisor": [1 / 3, 1.0],
                "known_at": [datetime(2023, 1, 1, tzinfo=UTC)] * 2,
            }
        )
        _create(connection, "intermediate.int_price_actions", actions)
        replaced = actions.clear().with_columns(superseded_at=pl.col("known_at"))
        _create(connection, "intermediate.int_price_actions_superseded", replaced)
        for name in ("daily", "1m"):
            connection.execute(
                f"create table lake.window_{name} (instrument_id varchar, from_session date, to_session date, changed_to date)"
            )
            connection.execute(
                f"create table lake.indicator_state_{name} "
                "(exchange varchar, instrument_id varchar, session_date date, state double[])"
            )
        _create(connection, "staging.stg_bars_daily", _daily_bars())
        _create(connection, "staging.stg_bars_1m", _minute_bars())
        for name in ("daily", "1m"):
            connection.execute(
                f"create table lake.bars_{name}_superseded as "
                f"select *, known_at as superseded_at from staging.stg_bars_{name} where false"
            )
        yield connection


@pytest.mark.parametrize("cut", [1, 60, SPLIT_DAY - 1, SPLIT_DAY, SPLIT_DAY + 1, SPLIT_DAY + 45, DAYS - 1])
def test_continuing_daily_bars_at_any_session_equals_the_full_run(database: duckdb.DuckDBPyConnection, cut: int) -> None:
    whole = _run(database, "daily", FIRST)
    day = FIRST + timedelta(days=cut)
    _carry(database, "daily", whole.filter(pl.col("session_date") < day))

    assert _run(database, "daily", day).equals(whole.filter(pl.col("session_date") >= day))


@pytest.mark.parametrize("cut", [309, 315, 319])
def test_continuing_minute_bars_equals_the_full_run(database: duckdb.DuckDBPyConnection, cut: int) -> None:
    whole = _run(database, "1m", FIRST)
    day = FIRST + timedelta(days=cut)
    _carry(database, "1m", whole.filter(pl.col("session_date") < day))

    continued = _run(database, "1m", day)

    assert continued.height
    assert continued.equals(whole.filter(pl.col("session_date") >= day))


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("bars_per_chunk", [1, 97, 700])
def test_chunks_change_nothing(database: duckdb.DuckDBPyConnection, bars_per_chunk: int) -> None:
    assert _run(database, "daily", FIRST, bars_per_chunk).equals(_run(database, "daily", FIRST))


def test_without_carried_state_an_instrument_starts_at_its_first_bar_and_gives_the_same_rows(
    database: duckdb.DuckDBPyConnection,
) -> None:
    whole = _run(database, "daily", FIRST)
    day = FIRST + timedelta(days=250)

    assert _run(database, "daily", day, 150).equals(whole.filter(pl.col("session_date") >= day))


def test_state_of_another_set_of_indicators_is_not_used(database: duckdb.DuckDBPyConnection) -> None:
    whole = _run(database, "daily", FIRST)
    day = FIRST + timedelta(days=250)
    earlier = whole.filter(pl.col("session_date") < day).with_columns(state=pl.lit([1.0, 2.0]))
    _carry(database, "daily", earlier)

    assert _run(database, "daily", day).equals(whole.filter(pl.col("session_date") >= day))


def test_carried_state_is_what_an_instrument_continues_from(database: duckdb.DuckDBPyConnection) -> None:
    whole = _run(database, "daily", FIRST)
    day = FIRST + timedelta(days=250)
    obv = [field.name for field in REGISTRY.state_fields()].index("obv")
    earlier = whole.filter(pl.col("session_date") < day, pl.col("instrument_id") == "X:PLAIN")
    moved = [[value + 1e6 * (i == obv) for i, value in enumerate(state)] for state in earlier["state"].to_list()]
    _carry(database, "daily", earlier.with_columns(state=pl.Series(moved)))

    continued = _run(database, "daily", day).filter(pl.col("instrument_id") == "X:PLAIN")

    expected = whole.filter(pl.col("session_date") >= day, pl.col("instrument_id") == "X:PLAIN")
    assert (continued["obv"] - expected["obv"]).to_list() == [1e6] * 70


def test_a_restated_minute_is_followed_until_its_effect_has_died_away(database: duckdb.DuckDBPyConnection) -> None:
    """An average of 50 forgets a price to the last bit within some 700 bars, 23 of these sessions; there the walk stops."""
    _create(database, "staging.stg_bars_1m", _long_minutes())
    before = _run(database, "1m", FIRST)
    _carry(database, "1m", before)
    day = FIRST + timedelta(days=10)
    database.execute("update staging.stg_bars_1m set close = close + 0.01 where session_date = ? and symbol = 'X:PLAIN'", [day])
    after = _run(database, "1m", FIRST)
    database.execute("delete from lake.window_1m where instrument_id != 'X:PLAIN'")

    followed = _run(database, "1m", day, changed_to=day).filter(pl.col("instrument_id") == "X:PLAIN")

    end = followed["session_date"].max()
    assert day + timedelta(days=20) < end < day + timedelta(days=60)
    same = pl.col("session_date").is_between(day, end) & (pl.col("instrument_id") == "X:PLAIN")
    assert followed.equals(after.filter(same))
    assert not followed.equals(before.filter(same))
    rest = pl.col("session_date") > end
    assert after.filter(rest).equals(before.filter(rest))


def test_a_later_change_is_never_stopped_short_of(database: duckdb.DuckDBPyConnection) -> None:
    _create(database, "staging.stg_bars_1m", _long_minutes())
    whole = _run(database, "1m", FIRST)
    _carry(database, "1m", whole)
    day = FIRST + timedelta(days=10)

    followed = _run(database, "1m", day, changed_to=FIRST + timedelta(days=DAYS - 3))

    assert followed.equals(whole.filter(pl.col("session_date") >= day))


def test_a_window_without_instruments_gives_no_rows(database: duckdb.DuckDBPyConnection) -> None:
    assert build_window(database, "daily", REGISTRY).read_all().num_rows == 0


def test_a_window_that_opens_before_the_first_bar_starts_there(database: duckdb.DuckDBPyConnection) -> None:
    assert _run(database, "1m", date(2003, 1, 1)).equals(_run(database, "1m", FIRST + timedelta(days=300)))


def test_state_stands_on_the_last_bar_of_each_session_only(database: duckdb.DuckDBPyConnection) -> None:
    rows = _run(database, "1m", FIRST)

    last = rows.group_by("instrument_id", "session_date").agg(pl.col("ts").max()).sort("instrument_id", "ts")
    carried = rows.filter(pl.col("state").is_not_null()).sort("instrument_id", "ts")
    assert carried["ts"].to_list() == last["ts"].to_list()
    assert set(carried["state"].list.len()) == {REGISTRY.state_width()}


def test_what_is_not_defined_yet_is_null_and_never_nan(database: duckdb.DuckDBPyConnection) -> None:
    rows = _run(database, "daily", FIRST).filter(pl.col("instrument_id") == "X:PLAIN").sort("session_date")

    assert rows["sma_20"].head(19).null_count() == 19
    assert rows["sma_20"].null_count() == 19
    assert rows["bars_seen"].to_list() == list(range(1, DAYS + 1))


def _run(
    connection: duckdb.DuckDBPyConnection, name: str, start: date, bars_per_chunk: int = 500_000, changed_to: date | None = None
) -> pl.DataFrame:
    connection.execute(f"delete from lake.window_{name}")
    last = FIRST + timedelta(days=DAYS)
    connection.execute(
        f"insert into lake.window_{name} select distinct instrument_id, ?::date, ?::date, ?::date from staging.stg_bars_{name}",
        [start, last, changed_to or last],
    )
    rows = pl.from_arrow(build_window(connection, name, REGISTRY, bars_per_chunk).read_all())  # type: ignore[arg-type]
    assert isinstance(rows, pl.DataFrame)
    return rows.sort("instrument_id", "session_date" if name == "daily" else "ts")


def _carry(connection: duckdb.DuckDBPyConnection, name: str, rows: pl.DataFrame) -> None:
    states = rows.filter(pl.col("state").is_not_null()).select("exchange", "instrument_id", "session_date", "state")
    connection.register("incoming", states.to_arrow())
    connection.execute(f"insert into lake.indicator_state_{name} select * from incoming")
    connection.unregister("incoming")


def _create(connection: duckdb.DuckDBPyConnection, relation: str, rows: pl.DataFrame) -> None:
    connection.register("incoming", rows.to_arrow())
    connection.execute(f"create or replace table {relation} as select * from incoming")
    connection.unregister("incoming")


def _daily_bars() -> pl.DataFrame:
    """A plain instrument, one with actions, one listed late, and one that trades every sixth day."""
    rng = np.random.default_rng(3)
    frames = []
    for name, days in (
        ("X:PLAIN", range(DAYS)),
        ("X:SPLIT", range(DAYS)),
        ("X:NEW", range(240, DAYS)),
        ("X:RARE", range(0, DAYS, 6)),
    ):
        dates = [FIRST + timedelta(days=i) for i in days]
        frames.append(_bars(rng, name, dates, [datetime(d.year, d.month, d.day, 10, tzinfo=UTC) for d in dates]).drop("ts"))
    return pl.concat(frames)


def _minute_bars() -> pl.DataFrame:
    rng = np.random.default_rng(4)
    frames = []
    for name, kept in (("X:PLAIN", 1.0), ("X:RARE", 0.3)):
        for i in range(300, DAYS):
            day = FIRST + timedelta(days=i)
            times = [datetime(day.year, day.month, day.day, 9, m, tzinfo=UTC) for m in range(30) if rng.random() < kept]
            frames.append(_bars(rng, name, [day] * len(times), times))
    return pl.concat(frames).drop("turnover")


def _long_minutes() -> pl.DataFrame:
    rng = np.random.default_rng(5)
    days = [FIRST + timedelta(days=i) for i in range(DAYS)]
    times = [datetime(day.year, day.month, day.day, 9, m, tzinfo=UTC) for day in days for m in range(30)]
    return pl.concat(_bars(rng, name, [t.date() for t in times], times) for name in ("X:PLAIN", "X:OTHER")).drop("turnover")


def _bars(rng: np.random.Generator, name: str, days: list[date], times: list[datetime]) -> pl.DataFrame:
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(days)))).round(2)
    high = close + rng.random(len(days)).round(2)
    low = close - rng.random(len(days)).round(2)
    volume = rng.integers(0, 10_000, len(days))
    return pl.DataFrame(
        {
            "exchange": "X",
            "instrument_id": name,
            "session_date": pl.Series(days, dtype=pl.Date),
            "ts": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "symbol": name,
            "open": close,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
            "turnover": close * volume,
            "known_at": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
        }
    )
