"""Restatements in any order, followed from carried state only as far as they reach, leave every bit of what a full run makes."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.indicators.registry import REGISTRY
from pipelines.indicators.window import build_window

FIRST = date(2023, 1, 2)
SESSIONS = 70
MINUTES = 20
NAMES = ("X:A", "X:B", "X:NEW")
#: A bar moved, emptied of volume, halted (removed) or traded after all; an action learned late.
CHANGES = ("price", "no volume", "halt", "trade", "split")

Change = tuple[str, str, int]
Size = Literal["daily", "1m"]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as database:
        database.execute("set TimeZone = 'UTC'; create schema lake; create schema staging; create schema intermediate")
        days = [FIRST + timedelta(days=i) for i in range(SESSIONS)]
        opens = [datetime(day.year, day.month, day.day, 9, tzinfo=UTC) for day in days]
        sessions = pl.DataFrame({"session_date": days, "opens_at": opens, "bars_expected": [MINUTES] * SESSIONS})
        put(database, "staging.stg_sessions", sessions)
        yield database


@pytest.mark.parametrize("size", ["daily", pytest.param("1m", marks=pytest.mark.slow)])
@given(
    deliveries=st.lists(
        st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from(NAMES), st.integers(0, SESSIONS - 1)), min_size=1, max_size=3),
        min_size=1,
        max_size=4,
    ),
    seed=st.integers(0, 3),
)
@example(deliveries=[[("price", "X:A", 0), ("halt", "X:A", SESSIONS - 1)]], seed=0)  # the last bar of all is withdrawn
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_order_of_restatements_leaves_the_full_run(
    connection: duckdb.DuckDBPyConnection, size: Size, deliveries: Sequence[Sequence[Change]], seed: int
) -> None:
    order = "session_date" if size == "daily" else "ts"
    bars, actions = generated(size, seed), pl.DataFrame(schema=ACTIONS)
    held = run(connection, size, bars, actions, everything(bars), held=None)
    for delivery in deliveries:
        for change in delivery:
            bars, actions = applied(bars, actions, change)
        held = run(connection, size, bars, actions, window(bars, delivery), held)

    whole = run(connection, size, bars, actions, everything(bars), held=None)
    assert held.sort("instrument_id", order).equals(whole.sort("instrument_id", order), null_equal=True)


def run(
    connection: duckdb.DuckDBPyConnection,
    size: Size,
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    asked: pl.DataFrame,
    held: pl.DataFrame | None,
) -> pl.DataFrame:
    """One build: the rows held so far, those of the window as far as it was followed replaced by what was built."""
    put(connection, f"staging.stg_bars_{size}", bars)
    put(connection, f"lake.bars_{size}_superseded", bars.clear().with_columns(superseded_at=pl.col("known_at")))
    put(connection, "intermediate.int_price_actions", actions)
    replaced = actions.clear().with_columns(superseded_at=pl.col("known_at"))
    put(connection, "intermediate.int_price_actions_superseded", replaced)
    put(connection, f"lake.window_{size}", asked)
    states = (held if held is not None else EMPTY_STATES).select("exchange", "instrument_id", "session_date", "state")
    put(connection, f"lake.indicator_state_{size}", states.filter(pl.col("state").is_not_null()))
    built = pl.from_arrow(build_window(connection, size, REGISTRY, bars_per_chunk=400).read_all())
    assert isinstance(built, pl.DataFrame)
    if held is None:
        return built
    ends = built.group_by("instrument_id").agg(pl.col("session_date").max().alias("built_to"))
    spans = held.join(asked.join(ends, on="instrument_id", how="left"), on="instrument_id", how="left", maintain_order="left")
    outdated = pl.col("session_date").is_between(
        pl.col("from_session"), pl.coalesce(pl.max_horizontal("built_to", "changed_to"), "to_session")
    )
    return pl.concat([held.filter(~spans.select(outdated.fill_null(value=False)).to_series()), built])


def everything(bars: pl.DataFrame) -> pl.DataFrame:
    ends = bars.group_by("instrument_id").agg(pl.col("session_date").max().alias("to_session")).sort("instrument_id")
    return ends.select("instrument_id", from_session=pl.lit(FIRST), to_session="to_session", changed_to="to_session")


def window(bars: pl.DataFrame, delivery: Sequence[Change]) -> pl.DataFrame:
    """What a plan says of a delivery: each touched instrument from its first change, to its last bar or its last change."""
    touched = pl.DataFrame(
        [(name, FIRST + timedelta(days=day)) for _, name, day in delivery],
        schema={"instrument_id": pl.String, "session": pl.Date},
        orient="row",
    )
    day = pl.col("session")
    spans = touched.group_by("instrument_id").agg(day.min().alias("from_session"), day.max().alias("changed_to"))
    ends = bars.group_by("instrument_id").agg(pl.col("session_date").max().alias("to_session"))
    return (
        spans.join(ends, on="instrument_id")
        .with_columns(to_session=pl.max_horizontal("to_session", "changed_to"))
        .select("instrument_id", "from_session", "to_session", "changed_to")
        .sort("instrument_id")
    )


def applied(bars: pl.DataFrame, actions: pl.DataFrame, change: Change) -> tuple[pl.DataFrame, pl.DataFrame]:
    kind, name, number = change
    day = FIRST + timedelta(days=number)
    here = (pl.col("instrument_id") == name) & (pl.col("session_date") == day)
    if kind == "split":
        action = pl.DataFrame([(name, day, "split", 0.5, 0.5, datetime(2023, 1, 1, tzinfo=UTC))], schema=ACTIONS, orient="row")
        known = actions.filter((pl.col("instrument_id") == name) & (pl.col("ex_date") == day)).height
        return bars, actions if known else pl.concat([actions, action])
    if kind == "price":
        return bars.with_columns(pl.when(here).then(pl.col("close") + 0.01).otherwise(pl.col("close")).alias("close")), actions
    if kind == "no volume":
        return bars.with_columns(pl.when(here).then(0.0).otherwise(pl.col("volume")).alias("volume")), actions
    if kind == "halt":
        return (bars if bars.filter(~here & (pl.col("instrument_id") == name)).is_empty() else bars.filter(~here)), actions
    if bars.filter(here).height:
        return bars, actions
    times = [datetime(day.year, day.month, day.day, 9, 5, tzinfo=UTC)]
    extra = made(np.random.default_rng(number), name, [day], times)
    return pl.concat([bars, extra.select(bars.columns)]), actions


def generated(size: Size, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frames = []
    for name, begin in zip(NAMES, (0, 0, 40), strict=True):
        days = [FIRST + timedelta(days=i) for i in range(begin, SESSIONS)]
        minutes = range(MINUTES) if size == "1m" else (5,)
        times = [datetime(d.year, d.month, d.day, 9, m, tzinfo=UTC) for d in days for m in minutes]
        frames.append(made(rng, name, [t.date() for t in times], times))
    bars = pl.concat(frames)
    return bars.drop("ts") if size == "daily" else bars.drop("turnover")


def made(rng: np.random.Generator, name: str, days: Sequence[date], times: Sequence[datetime]) -> pl.DataFrame:
    close = (100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(days))))).round(2)
    volume = rng.integers(0, 10_000, len(days)).astype(float)
    stamps = pl.Series(times, dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame(
        {
            "exchange": "X",
            "instrument_id": name,
            "session_date": pl.Series(days, dtype=pl.Date),
            "ts": stamps,
            "symbol": name,
            "open": close,
            "high": close + rng.random(len(days)).round(2),
            "low": close - rng.random(len(days)).round(2),
            "close": close,
            "volume": volume,
            "turnover": close * volume,
            "known_at": stamps,
        }
    )


def put(connection: duckdb.DuckDBPyConnection, relation: str, rows: pl.DataFrame) -> None:
    connection.register("incoming", rows.to_arrow())
    connection.execute(f"create or replace table {relation} as select * from incoming")
    connection.unregister("incoming")


ACTIONS = {
    "instrument_id": pl.String,
    "ex_date": pl.Date,
    "action": pl.String,
    "price_factor": pl.Float64,
    "volume_divisor": pl.Float64,
    "known_at": pl.Datetime("us", "UTC"),
}
EMPTY_STATES = pl.DataFrame(
    schema={"exchange": pl.String, "instrument_id": pl.String, "session_date": pl.Date, "state": pl.List(pl.Float64)}
)
