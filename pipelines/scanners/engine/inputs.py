"""What a scan looks at, and reading it from pinned versions of the lake.

Lives here: `ScanInputs`, and `read_inputs`, as far back as scanners may look and no further.
Does not live here: scanning (`runner.py`), which versions are pinned (`storage/releases.py`), live bars (`live/`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from pipelines.indicators.tables import home_tables
from pipelines.indicators.volume_profiles import CALENDAR_DAYS
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.scanners.choices import ScanChoices
from pipelines.storage.delta import LakeTable, PartitionValue, empty_frame
from pipelines.storage.location import Lake

#: Calendar days that surely hold the 252 regular sessions of daily bars on which scanners look back.
DAYS_BACK = timedelta(days=400)


@dataclass(frozen=True)
class ScanInputs:
    """What a scan may see, as frames with the columns of the lake tables of the same names (more columns do no harm).

    Give whole or cut history: sessions, daily bars and indicators a year and a half back (scanners look back 252 regular
    sessions), minutes of the moment's session and its intraday profiles. Where there are no profiles they are made of the curves
    of the sessions before, or of their minutes. Rows that lie after the moment are never read. Without aliases an instrument has
    its symbol as its only ticker. All of one exchange.
    """

    sessions: pl.DataFrame
    instruments: pl.DataFrame
    bars_daily: pl.DataFrame
    bars_1m: pl.DataFrame = field(default_factory=pl.DataFrame)
    corporate_actions: pl.DataFrame = field(default_factory=pl.DataFrame)
    indicators_daily: pl.DataFrame = field(default_factory=pl.DataFrame)
    intraday_profiles: pl.DataFrame = field(default_factory=pl.DataFrame)
    intraday_curves: pl.DataFrame = field(default_factory=pl.DataFrame)
    universe_members: pl.DataFrame = field(default_factory=pl.DataFrame)
    universe_rules: pl.DataFrame = field(default_factory=pl.DataFrame)
    instrument_aliases: pl.DataFrame = field(default_factory=pl.DataFrame)
    finding_effects: pl.DataFrame = field(default_factory=pl.DataFrame)


#: Of an engine that is given its inputs later.
NO_INPUTS = ScanInputs(pl.DataFrame(), pl.DataFrame(), pl.DataFrame())


def read_inputs(
    lake: Lake,
    exchange: str,
    versions: Mapping[str, int],
    first: date,
    last: date,
    choices: ScanChoices,
    minutes: pl.DataFrame | None = None,
) -> ScanInputs:
    """Inputs for moments of the sessions `first` to `last` of one exchange.

    versions: pinned versions by table; an absent table counts as empty. choices: of the home. minutes: one-minute bars of `last`
    (default: those of the pinned version); earlier sessions are known by their curves.
    """
    known = traded_calendar(lake, exchange, versions)
    days = known.frame().filter(pl.col("session_date").is_between(first - DAYS_BACK, last))
    years = list(range((first - DAYS_BACK).year, last.year + 1))

    def read(schema: TableSchema, partitions: Sequence[PartitionValue] | None = None) -> pl.DataFrame:
        if schema.name not in versions:
            return empty_frame(schema)
        rows = LakeTable(lake.table_uri(exchange, schema.name), schema).read(versions[schema.name], partitions)
        return rows if partitions is None else rows.filter(pl.col("session_date") <= last)

    asked = [s.session_date for s in known.between(first, last)]
    profiles = read(TABLES["intraday_profiles"], asked)
    # Without its profile a session's is made of the curves before it.
    curves_from = first if set(asked) <= set(profiles["session_date"]) else first - CALENDAR_DAYS
    curves = [s.session_date for s in known.between(curves_from, last) if s.session_date < last]
    return ScanInputs(
        sessions=days,
        instruments=read(TABLES["instruments"]),
        bars_daily=read(TABLES["bars_daily"], years),
        bars_1m=read(TABLES["bars_1m"], [last]) if minutes is None else minutes,
        corporate_actions=read(TABLES["corporate_actions"]),
        indicators_daily=read(home_tables(lake.indicators)["indicators_daily"], years),
        intraday_profiles=profiles,
        intraday_curves=read(TABLES["intraday_curves"], curves),
        universe_members=choices.universes.members,
        universe_rules=choices.universes.rules,
        instrument_aliases=read(TABLES["instrument_aliases"]),
        finding_effects=choices.finding_effects,
    )
