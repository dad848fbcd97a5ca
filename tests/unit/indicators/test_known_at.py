"""When indicators became known: each row since its values have been what they are, however restatements came and were built."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
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
SESSIONS = 60
MINUTES = 12
NAMES = ("X:A", "X:B")
UTC_TIME = pl.Datetime("us", "UTC")
NEVER = datetime(2100, 1, 1, tzinfo=UTC)
#: Close one cent up or down, another ticker alone, a bar taken back, a bar that was another instrument's, a split learned late, or
#: corrected.
CHANGES = ("up", "down", "ticker", "withdraw", "move", "split", "three for one")

Size = Literal["daily", "1m"]
Change = tuple[str, str, int]


class Versions:
    """Bars and actions of a small lake with everything that was replaced, as `build_window` finds them."""

    def __init__(self, size: Size, seed: int = 0) -> None:
        self.size: Size = size
        self.order = "session_date" if size == "daily" else "ts"
        self.key = ["instrument_id", self.order]
        self.bars = generated(size, seed)
        self.old_bars = self.bars.clear().with_columns(superseded_at=pl.col("known_at"))
        self.actions = pl.DataFrame(schema=ACTIONS)
        self.old_actions = self.actions.with_columns(superseded_at=pl.col("known_at"))

    def deliver(self, at: datetime, changes: Sequence[Change]) -> None:
        """Take a delivery in that arrived at that time, as the lake would."""
        for kind, name, number in changes:
            self._apply(at, kind, name, day_of(number))

    def _apply(self, at: datetime, kind: str, name: str, day: date) -> None:
        here = (pl.col("instrument_id") == name) & (pl.col("session_date") == day)
        if kind in ("split", "three for one"):
            factor = 0.5 if kind == "split" else 1 / 3
            mine = (pl.col("instrument_id") == name) & (pl.col("ex_date") == day)
            was = self.actions.filter(mine)
            if was.height and was["price_factor"].item() == factor:
                return
            known = max([at, *was["known_at"]])
            new = pl.DataFrame([(name, day, "split", factor, factor, known)], schema=ACTIONS, orient="row")
            self.old_actions = pl.concat([self.old_actions, was.with_columns(superseded_at=pl.lit(known, UTC_TIME))])
            self.actions = pl.concat([self.actions.filter(~mine), new])
            return
        was = self.bars.filter(here)
        close = pl.col("close") + {"up": 0.01, "down": -0.01}.get(kind, 0.0)
        now = was.with_columns(close.round(2).alias("close"), known_at=pl.max_horizontal("known_at", pl.lit(at, UTC_TIME)))
        if kind == "ticker":
            now = now.with_columns(symbol=pl.concat_str("symbol", pl.lit("'")))
        if kind == "move":
            other = NAMES[1 - NAMES.index(name)]
            now = now.with_columns(instrument_id=pl.lit(other)).join(self.bars, on=self.key, how="anti")
        stamp = now.select(*self.key, superseded_at="known_at") if kind != "move" else None
        gone = (
            was.join(stamp, on=self.key)
            if stamp is not None
            else was.with_columns(superseded_at=pl.max_horizontal("known_at", pl.lit(at, UTC_TIME)))
        )
        self.old_bars = pl.concat([self.old_bars, gone.select(self.old_bars.columns)])
        kept = self.bars.filter(~here)
        self.bars = (kept if kind == "withdraw" else pl.concat([kept, now])).sort(self.key)

    def before(self, at: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Bars and actions as they were known just before a time."""
        frames = []
        for current, old, key in (
            (self.bars, self.old_bars, self.key),
            (self.actions, self.old_actions, ["instrument_id", "ex_date", "action"]),
        ):
            every = pl.concat(
                [current.with_columns(superseded_at=pl.lit(NEVER, UTC_TIME)), old.select(*current.columns, "superseded_at")]
            )
            alive = every.filter(pl.col("known_at") < at, pl.col("superseded_at") >= at)
            frames.append(alive.sort("known_at").unique(key, keep="last").select(current.columns).sort(key))
        return frames[0], frames[1]

    def times(self) -> list[datetime]:
        """Every time at which something was replaced, came late or was taken back."""
        late = self.actions.filter(pl.col("known_at").dt.date() > pl.col("ex_date"))
        return sorted({*self.old_bars["superseded_at"], *self.old_actions["superseded_at"], *late["known_at"]})


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as database:
        database.execute("set TimeZone = 'UTC'; create schema lake; create schema staging; create schema intermediate")
        days = [day_of(i) for i in range(SESSIONS)]
        opens = [datetime.combine(day, time(9), UTC) for day in days]
        sessions = pl.DataFrame({"session_date": days, "opens_at": opens, "bars_expected": [MINUTES] * SESSIONS})
        put(database, "staging.stg_sessions", sessions)
        yield database


@pytest.mark.parametrize("size", ["daily", "1m"])
def test_rows_behind_a_restated_bar_are_known_since_its_restatement(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    lake = Versions(size)
    before = built(connection, lake)
    lake.deliver(noon_after(45), [("up", "X:A", 30)])

    after = built(connection, lake)

    values = [name for name in after.columns if name not in ("known_at", "state")]
    changed = after.join(before, on=values, how="anti", nulls_equal=True)
    assert changed.filter(pl.col("session_date") < day_of(30)).is_empty()
    assert set(changed.filter(pl.col("session_date") <= day_of(45))["known_at"]) == {noon_after(45)}
    rest = after.join(changed, on=lake.key, how="anti")
    both = rest.join(before, on=lake.key, suffix="_before")
    assert rest.height
    assert both["known_at"].equals(both["known_at_before"])
    assert changed.filter(pl.col("session_date") > day_of(45)).join(before, on=[*lake.key, "known_at"], how="anti").is_empty()


def test_a_restatement_that_changes_no_figure_dates_nothing_anew(connection: duckdb.DuckDBPyConnection) -> None:
    lake = Versions("daily")
    before = built(connection, lake)
    lake.deliver(noon_after(45), [("ticker", "X:A", 30)])

    assert built(connection, lake)["known_at"].equals(before["known_at"])


def test_a_restatement_taken_back_leaves_the_rows_known_since_then(connection: duckdb.DuckDBPyConnection) -> None:
    lake = Versions("daily")
    lake.deliver(noon_after(45), [("up", "X:A", 30)])
    lake.deliver(noon_after(50), [("down", "X:A", 30)])

    rows = built(connection, lake).filter(pl.col("instrument_id") == "X:A").sort("session_date")

    assert rows["known_at"].to_list()[29:46] == [closed(29), *[noon_after(50)] * 16]


def test_a_split_learned_late_dates_the_rows_from_its_ex_date_on(connection: duckdb.DuckDBPyConnection) -> None:
    lake = Versions("daily")
    lake.deliver(noon_after(45), [("split", "X:A", 40)])

    rows = built(connection, lake).filter(pl.col("instrument_id") == "X:A").sort("session_date")

    assert rows["known_at"].to_list()[39:47] == [closed(39), *[noon_after(45)] * 6, closed(46)]


def test_a_row_changes_no_sooner_known_than_the_bars_of_its_arrival(connection: duckdb.DuckDBPyConnection) -> None:
    """What opened after a correction had come was computed from it in the first place."""
    lake = Versions("daily")
    lake.deliver(noon_after(30), [("up", "X:A", 30)])

    rows = built(connection, lake).filter(pl.col("instrument_id") == "X:A").sort("session_date")

    assert rows["known_at"].to_list()[29:32] == [closed(29), noon_after(30), closed(31)]


@pytest.mark.slow
@pytest.mark.parametrize("size", ["daily", "1m"])
@given(
    deliveries=st.lists(
        st.tuples(
            st.integers(20, SESSIONS + 5),
            st.lists(
                st.tuples(st.sampled_from(CHANGES), st.sampled_from(NAMES), st.integers(0, SESSIONS - 1)), min_size=1, max_size=3
            ),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    seed=st.integers(0, 3),
)
@example(deliveries=[(40, [("up", "X:A", 5)], False), (41, [("down", "X:A", 5)], True)], seed=0)
@example(deliveries=[(50, [("up", "X:A", 40)], True), (55, [("up", "X:A", 5)], True), (45, [("up", "X:A", 20)], True)], seed=1)
@example(deliveries=[(50, [("move", "X:A", 5), ("move", "X:A", 6)], True), (52, [("split", "X:B", 6)], True)], seed=1)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_history_dates_rows_as_walking_every_past_of_the_lake_does(
    connection: duckdb.DuckDBPyConnection, size: Size, deliveries: Sequence[tuple[int, Sequence[Change], bool]], seed: int
) -> None:
    lake = Versions(size, seed)
    held, waiting = built(connection, lake), []
    for minute, (number, drawn, is_built) in enumerate(deliveries):
        changes = [change for change in drawn if change[2] < number]
        lake.deliver(noon_after(number) + timedelta(minutes=minute), changes)
        waiting += changes
        if is_built and waiting:
            held, waiting = continued(connection, lake, held, waiting), []
    if waiting:
        held = continued(connection, lake, held, waiting)

    whole = built(connection, lake)

    assert held.sort(lake.key).equals(whole, null_equal=True)
    assert whole.select(*lake.key, "known_at").equals(since_when(connection, lake, whole))


def since_when(connection: duckdb.DuckDBPyConnection, lake: Versions, whole: pl.DataFrame) -> pl.DataFrame:
    """When each row got its values for good, by building the lake anew as it was before every change."""
    values = [name for name in whole.columns if name not in ("known_at", "state", "symbol")]
    known = whole.select(*lake.key, known_at=pl.lit(datetime(1, 1, 1, tzinfo=UTC), UTC_TIME))
    for at in lake.times():
        bars, actions = lake.before(at)
        past = built(connection, lake, bars, actions)
        other = whole.join(past, on=values, how="anti", nulls_equal=True).select(lake.key)
        known = known.join(other.with_columns(at=pl.lit(at, UTC_TIME)), on=lake.key, how="left", maintain_order="left")
        known = known.select(*lake.key, known_at=pl.max_horizontal("known_at", "at"))
    figures = ["open", "high", "low", "close", "volume"]
    base = lake.bars.select(*lake.key, *figures, base="known_at")
    for row in lake.old_bars.sort("superseded_at", "known_at", descending=True).iter_rows(named=True):
        same = pl.all_horizontal(pl.col(name) == row[name] for name in [*lake.key, *figures]) & (
            pl.col("base") == row["superseded_at"]
        )
        base = base.with_columns(pl.when(same).then(pl.lit(row["known_at"], UTC_TIME)).otherwise("base").alias("base"))
    both = known.join(base, on=lake.key, how="left", maintain_order="left")
    return both.select(*lake.key, known_at=pl.max_horizontal("known_at", "base"))


def built(
    connection: duckdb.DuckDBPyConnection, lake: Versions, bars: pl.DataFrame | None = None, actions: pl.DataFrame | None = None
) -> pl.DataFrame:
    """A full build of the lake, or of other bars and actions of which nothing was ever replaced."""
    past = bars is not None
    prepare(connection, lake, lake.bars if bars is None else bars, lake.actions if actions is None else actions, is_past=past)
    connection.execute(
        f"create or replace table lake.window_{lake.size} as select instrument_id, min(session_date) as from_session, "
        f"max(session_date) as to_session, max(session_date) as changed_to from staging.stg_bars_{lake.size} group by all"
    )
    put(connection, f"lake.indicator_state_{lake.size}", EMPTY_STATES)
    return read(connection, lake)


def continued(connection: duckdb.DuckDBPyConnection, lake: Versions, held: pl.DataFrame, changes: Sequence[Change]) -> pl.DataFrame:
    """A build of what changed since `held` was built."""
    prepare(connection, lake, lake.bars, lake.actions)
    touched: dict[str, list[date]] = {}
    for kind, name, number in changes:
        for other in NAMES if kind == "move" else (name,):
            touched.setdefault(other, []).append(day_of(number))
    ends = dict(
        pl.concat([lake.bars, held], how="diagonal").group_by("instrument_id").agg(pl.col("session_date").max()).iter_rows()
    )
    spans = [(name, min(days), max([ends[name], *days]), max(days)) for name, days in sorted(touched.items()) if name in ends]
    window = pl.DataFrame(spans, schema=["instrument_id", "from_session", "to_session", "changed_to"], orient="row")
    put(connection, f"lake.window_{lake.size}", window)
    states = held.filter(pl.col("state").is_not_null()).select(EMPTY_STATES.columns)
    put(connection, f"lake.indicator_state_{lake.size}", states)
    made = read(connection, lake)
    ends_made = made.group_by("instrument_id").agg(pl.col("session_date").max().alias("built_to"))
    joined = held.join(
        window.join(ends_made, on="instrument_id", how="left"), on="instrument_id", how="left", maintain_order="left"
    )
    outdated = pl.col("session_date").is_between(
        pl.col("from_session"), pl.coalesce(pl.max_horizontal("built_to", "changed_to"), "to_session")
    )
    return pl.concat([held.filter(~joined.select(outdated.fill_null(value=False)).to_series()), made])


def prepare(
    connection: duckdb.DuckDBPyConnection, lake: Versions, bars: pl.DataFrame, actions: pl.DataFrame, *, is_past: bool = False
) -> None:
    put(connection, f"staging.stg_bars_{lake.size}", bars)
    put(connection, f"lake.bars_{lake.size}_superseded", lake.old_bars.clear() if is_past else lake.old_bars)
    put(connection, "intermediate.int_price_actions", actions)
    put(connection, "intermediate.int_price_actions_superseded", lake.old_actions.clear() if is_past else lake.old_actions)


def read(connection: duckdb.DuckDBPyConnection, lake: Versions) -> pl.DataFrame:
    rows = pl.from_arrow(build_window(connection, lake.size, REGISTRY, bars_per_chunk=300).read_all())
    assert isinstance(rows, pl.DataFrame)
    return rows.sort(lake.key)


def generated(size: Size, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frames = []
    for name, begin in zip(NAMES, (0, 10), strict=True):
        days = [day_of(i) for i in range(begin, SESSIONS)]
        times = [datetime.combine(d, time(9, m), UTC) for d in days for m in (range(MINUTES) if size == "1m" else (0,))]
        close = (100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(times))))).round(2)
        ends = [t + timedelta(minutes=1) if size == "1m" else datetime.combine(t.date(), time(12), UTC) for t in times]
        frames.append(
            pl.DataFrame(
                {
                    "exchange": "X",
                    "instrument_id": name,
                    "session_date": pl.Series([t.date() for t in times], dtype=pl.Date),
                    "ts": pl.Series(times, dtype=UTC_TIME),
                    "symbol": name,
                    "open": close,
                    "high": close + 1,
                    "low": close - 1,
                    "close": close,
                    "volume": rng.integers(0, 10_000, len(times)).astype(float),
                    "turnover": pl.Series([None] * len(times), dtype=pl.Float64),
                    "known_at": pl.Series(ends, dtype=UTC_TIME),
                }
            )
        )
    bars = pl.concat(frames)
    return bars.drop("ts") if size == "daily" else bars.drop("turnover")


def day_of(number: int) -> date:
    return FIRST + timedelta(days=number)


def closed(number: int) -> datetime:
    """When the daily bar of that session is known."""
    return datetime.combine(day_of(number), time(12), UTC)


def noon_after(number: int) -> datetime:
    """A time between that session and the next."""
    return datetime.combine(day_of(number), time(18), UTC)


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
    "known_at": UTC_TIME,
}
EMPTY_STATES = pl.DataFrame(
    schema={"exchange": pl.String, "instrument_id": pl.String, "session_date": pl.Date, "state": pl.List(pl.Float64)}
)
