"""What an instrument usually does by a minute: regular sessions only, splits allowed for, worked out a second way."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from pipelines.indicators.volume_profiles import build_profiles, profiles_of
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame

FIRST = date(2024, 1, 1)
KINDS = ["regular"] * 10 + ["special"] + ["regular"] * 19
DAYS = [FIRST + timedelta(days=i) for i in range(len(KINDS))]
KNOWN = datetime(2024, 1, 1, tzinfo=UTC)


def curve(name: str, day: int, volumes: list[int], highs: list[float | None], lows: list[float | None]) -> dict[str, Any]:
    return {
        "exchange": "XNSE",
        "instrument_id": name,
        "session_date": DAYS[day],
        "volume_so_far": volumes,
        "high_so_far": highs,
        "low_so_far": lows,
        "known_so_far": [KNOWN + timedelta(days=day)] * len(volumes),
    }


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """Thirty sessions of which the eleventh is special; PLAIN trades `day + 1` shares a minute, SPLIT halves before day 29."""
    regular = [kind == "regular" for kind in KINDS]
    sessions = pl.DataFrame(
        {"exchange": "XNSE", "session_date": DAYS, "kind": KINDS, "regular_before": [sum(regular[:i]) for i in range(len(KINDS))]},
        schema_overrides={"regular_before": pl.Int64},
    )
    plain = [curve("PLAIN", day, [day + 1, 2 * (day + 1)], [10.0, 10.0 + day], [10.0, 10.0]) for day in range(29)]
    split = [curve("SPLIT", day, [7, 9], [None, 40.0], [None, 30.0]) for day in (26, 28)]
    spans = pl.DataFrame(
        [("SPLIT", date(1, 1, 1), DAYS[29], DAYS[29], date(9999, 12, 31), 0.5, 0.5, KNOWN)],
        schema=[
            "instrument_id",
            "bar_from",
            "bar_before",
            "moment_from",
            "moment_before",
            "price_factor",
            "volume_divisor",
            "known_at",
        ],
        orient="row",
    )
    window = pl.DataFrame([("PLAIN", DAYS[27], DAYS[28], DAYS[28])], schema=WINDOW, orient="row")
    relations = {
        "staging.stg_sessions": sessions,
        "intermediate.int_intraday_curves_known": pl.DataFrame(plain + split),
        "intermediate.int_basis_spans": spans,
        "lake.window_1m": window,
    }
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; create schema staging; create schema intermediate; create schema lake")
        for name, frame in relations.items():
            connection.register("incoming", frame.to_arrow())
            connection.execute(f"create table {name} as from incoming")
            connection.unregister("incoming")
        yield connection


WINDOW = ["instrument_id", "from_session", "to_session", "changed_to"]


def test_a_profile_is_of_the_twenty_regular_sessions_before(database: duckdb.DuckDBPyConnection) -> None:
    profile = profiles_of(database, [DAYS[29]]).filter(pl.col("instrument_id") == "PLAIN").row(0, named=True)

    # Twenty regular sessions before day 29: days 8, 9 and 11 to 28; the special one (day 10) is stepped over.
    counted = [8, 9, *range(11, 29)]
    shares = sorted(day + 1 for day in counted)
    assert profile["sessions"] == 20
    assert profile["mean_volume"] == [sum(shares) / 20, 2 * sum(shares) / 20]
    assert profile["median_volume"] == [(shares[9] + shares[10]) / 2, shares[9] + shares[10]]
    assert profile["mean_range"] == [0, sum(counted) / 20]
    assert profile["known_at"] == KNOWN + timedelta(days=28)


def test_a_split_doubles_earlier_volumes_and_halves_ranges_and_an_untraded_minute_has_no_range(
    database: duckdb.DuckDBPyConnection,
) -> None:
    profile = profiles_of(database, [DAYS[29]]).filter(pl.col("instrument_id") == "SPLIT").row(0, named=True)

    assert profile["sessions"] == 2
    assert profile["mean_volume"] == [14, 18]
    assert profile["mean_range"] == [None, 5]


def test_a_build_makes_what_changed_minutes_reach_and_the_session_after_the_newest(database: duckdb.DuckDBPyConnection) -> None:
    built = pl.from_arrow(build_profiles(database).read_all())
    assert isinstance(built, pl.DataFrame)

    assert dict(built.schema) == dict(empty_frame(TABLES["intraday_profiles"]).schema)
    # Minutes of days 27 and 28 changed and day 28 is the newest: 27 is made anew, 28 and 29 stand on them. All instruments are.
    assert built.select("session_date", "instrument_id").rows() == [
        (DAYS[day], name) for day in (27, 28, 29) for name in ("PLAIN", "SPLIT")
    ]
    assert built.equals(profiles_of(database, DAYS[27:30]))


def test_the_first_session_of_all_has_no_profile(database: duckdb.DuckDBPyConnection) -> None:
    assert profiles_of(database, [FIRST]).is_empty()
    assert dict(profiles_of(database, [FIRST]).schema) == dict(empty_frame(TABLES["intraday_profiles"]).schema)
