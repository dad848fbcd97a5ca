"""Proof that published indicators see nothing of the future: sampled rows are computed again with later bars cut off and altered.

Lives here: `indicators_ahead`: which rows are computed again, from which carried state, and what differs.
Does not live here: arithmetic and the walk through a window (`indicators/`), the check in Dagster
(`orchestration/checks/indicators.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.indicators.registry import Registry
from pipelines.indicators.tables import indicator_tables
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.tables import TABLES
from pipelines.scanners.engine.inputs import ScanInputs
from pipelines.scanners.engine.model_executor import ModelExecutor
from pipelines.scanners.engine.scan_database import ScanDatabase
from pipelines.scanners.registry import CompiledScanners
from pipelines.scanners.verification.look_ahead import falsified
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake

#: Instruments of a session that are computed again.
_INSTRUMENTS = 20
#: Sessions before the row from whose carried state it is computed, and after it, which must not matter.
_BEFORE = _AHEAD = 5

DIFFERENCES: dict[str, pl.DataType | type[pl.DataType]] = {
    "column": pl.String,
    "inputs": pl.String,
    "session_date": pl.Date,
    "instrument_id": pl.String,
}
_MODELS = [
    "staging.stg_sessions",
    "staging.stg_bars_daily",
    "intermediate.int_price_actions",
    "intermediate.int_price_actions_superseded",
]


@dataclass(frozen=True)
class _Sample:
    """Bars and carried states of some instruments around a session, and their published rows of it with the state after."""

    session: date
    bars: pl.DataFrame
    actions: pl.DataFrame
    states: pl.DataFrame
    published: pl.DataFrame
    sessions: pl.DataFrame


def indicators_ahead(
    lake: Lake, exchange: str, versions: Mapping[str, int], compiled: CompiledScanners, sessions: Iterable[date]
) -> tuple[int, pl.DataFrame]:
    """Rows of `indicators_daily` that were computed again, and the values that differ (columns of `DIFFERENCES`).

    Of each session up to 20 instruments, from the state carried five sessions before. versions: pinned versions by table.
    """
    rows, found = 0, [pl.DataFrame(schema=DIFFERENCES)]
    for session in sessions:
        sample = _sample(lake, exchange, versions, session, compiled.indicators)
        rows += sample.published.height
        if sample.published.height:
            later = pl.col("session_date") > session
            for name, bars in (("truncated", sample.bars.filter(~later)), ("spoiled", falsified(sample.bars, later))):
                found.append(_different(sample.published, _computed(compiled, exchange, sample, bars), name, compiled.indicators))
    return rows, pl.concat(found)


def _sample(lake: Lake, exchange: str, versions: Mapping[str, int], session: date, registry: Registry) -> _Sample:
    known = traded_calendar(lake, exchange, versions)
    days = _sessions_around(known, session, registry.lookback())
    start = days[max(0, days.index(session) - _BEFORE)]
    span = pl.col("session_date").is_between(days[0], days[-1])

    def read(name: str, where: pl.Expr) -> pl.DataFrame:
        schema = {**TABLES, **indicator_tables(registry)}[name]
        years: list[PartitionValue] | None = None
        if schema.partition_by == "session_year":
            years = list(range(days[0].year, days[-1].year + 1))
        return LakeTable(lake.table_uri(exchange, name), schema).read(versions.get(name), years, where=where)

    published = read("indicators_daily", pl.col("session_date") == session)
    names = sorted(published["instrument_id"].to_list(), key=lambda name: hashlib.sha256(f"{session}|{name}".encode()).digest())
    mine = pl.col("instrument_id").is_in(names[:_INSTRUMENTS])
    bars = read("bars_daily", span & mine)
    states = read("indicator_state_daily", span & mine)
    carried = states.filter(pl.col("session_date") < start)
    whole = _can_continue(bars.filter(pl.col("session_date") < start), carried, registry.lookback())
    kept = pl.col("instrument_id").is_in(whole)
    after = states.filter(pl.col("session_date") == session).select("instrument_id", "state")
    return _Sample(
        session,
        bars.filter(kept),
        read("corporate_actions", kept),
        carried.filter(kept),
        published.filter(kept).join(after, on="instrument_id", how="left"),
        known.frame(),
    )


def _can_continue(bars: pl.DataFrame, states: pl.DataFrame, lookback: int) -> list[str]:
    """Instruments whose last state has behind it as many bars as their kernels look back on, or all there were."""
    last = states.sort("session_date").group_by("instrument_id").last()
    held = bars.group_by("instrument_id").agg(pl.len().alias("held"), pl.col("session_date").max())
    count = pl.col("state").list.first()
    enough = pl.min_horizontal(count, pl.lit(float(lookback))) <= pl.col("held")
    found = last.join(held, on=["instrument_id", "session_date"]).filter(count > 0, enough)
    return found["instrument_id"].sort().to_list()


def _computed(compiled: CompiledScanners, exchange: str, sample: _Sample, bars: pl.DataFrame) -> pl.DataFrame:
    """The session's rows, computed from the carried states over the bars given."""
    from pipelines.indicators.window import build_window  # numba

    sessions = sample.sessions
    end = bars["session_date"].max()
    window = (
        sample.states.group_by("instrument_id")
        .agg(from_session=pl.col("session_date").max() + timedelta(days=1))
        .with_columns(to_session=pl.lit(end), changed_to=pl.lit(end))
    )
    database = ScanDatabase(ScanInputs(sessions, pl.DataFrame(), bars, corporate_actions=sample.actions), compiled.indicators)
    with database.connection as connection:
        for table, rows in (("window_daily", window), ("indicator_state_daily", sample.states)):
            connection.register("incoming", rows.to_arrow())
            connection.execute(f"insert into lake.{table} by name select * from incoming")
            connection.unregister("incoming")
        ModelExecutor(compiled, connection).make(_MODELS, frozenset(), is_short=False)
        made = pl.from_arrow(build_window(connection, "daily", compiled.indicators).read_all())
    assert isinstance(made, pl.DataFrame)
    return made.filter(pl.col("session_date") == sample.session)


def _different(published: pl.DataFrame, computed: pl.DataFrame, inputs: str, registry: Registry) -> pl.DataFrame:
    """A row per value that is not the published one, bit for bit; `state` stands for what is carried on."""
    columns = [*registry.columns(), "bars_seen", "state"]
    both = published.select("instrument_id", "session_date", *columns).join(
        computed.select("instrument_id", *columns), on="instrument_id", how="left", suffix="_again"
    )
    return pl.concat(
        both.filter(pl.col(name).ne_missing(pl.col(f"{name}_again"))).select(
            pl.lit(name).alias("column"), pl.lit(inputs).alias("inputs"), "session_date", "instrument_id"
        )
        for name in columns
    )


def _sessions_around(sessions: ExchangeCalendar, session: date, lookback: int) -> list[date]:
    """As many sessions before as the tail of a continued instrument reaches back, and a few after."""
    back = lookback + lookback // 4 + 10 + _BEFORE
    known = sessions.between(session - timedelta(days=2 * back + 30), session + timedelta(days=4 * _AHEAD))
    days = [s.session_date for s in known]
    at = days.index(session)
    return days[max(0, at - back) : at + _AHEAD + 1]
