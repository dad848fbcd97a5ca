"""Schemas of profiles: the rows by which a table's GX suite judges a staged batch.

Lives here: `profile_schema`, which follows the columns of the table that is profiled.
Does not live here: computing a profile (`quality/profile.py`), the expectations (`expectations/*.json`).
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.market.schema import REAL, WHOLE, Column, TableSchema
from pipelines.market.tables.bars import SESSION_DATE

#: The column of a reference table that says to which session a row belongs. Bars have their session date.
REFERENCE_SESSION = {"corporate_actions": "ex_date", "instruments": "valid_from", "instrument_aliases": "valid_from"}

_COMPLETENESS = (
    Column("foreign_rows", WHOLE, "Rows that bear another exchange.", unit="rows"),
    Column("expected_rows", WHOLE, "Rows that the calendar expects; NULL outside its sessions.", unit="rows", nullable=True),
    Column("range_ratio", REAL, "Highest price over lowest price.", unit="ratio"),
    Column("completeness", REAL, "Rows over expected rows.", unit="ratio", nullable=True),
)
_MARKET_STEP = (
    Column("market_step", REAL, "Median change of closes since the session before.", unit="ratio", nullable=True),
    Column("share_off_scale", REAL, "Share of instruments whose price jumped.", unit="ratio", nullable=True),
)
#: What is added to the figures of a batch by holding it against the market around it.
_CONTEXT = {
    "bars_daily": (
        Column("market_coverage", REAL, "Instruments with a bar over what is usual.", unit="ratio", nullable=True),
        *_MARKET_STEP,
    ),
    "bars_1m": (
        Column("high_to_day", REAL, "Highest price of the minutes over that of the day's bar.", unit="ratio", nullable=True),
        Column("low_to_day", REAL, "Lowest price of the minutes over that of the day's bar.", unit="ratio", nullable=True),
        Column("typical_to_day", REAL, "How far the median close lies outside the day; 1: inside.", unit="ratio", nullable=True),
        *_MARKET_STEP,
    ),
}


def profile_schema(table: TableSchema) -> TableSchema:
    """The profile of a table's batch: bars by session and instrument (and series), rows of reference tables one by one."""
    description = f"What the suite of {table.name} is asked about: figures of a staged batch."
    if table.name in REFERENCE_SESSION:
        session = replace(table.column(REFERENCE_SESSION[table.name]), name="session")
        copies = Column("copies", WHOLE, "Rows of the batch with the same key.", unit="rows")
        return replace(
            table,
            name=f"{table.name}_profile",
            description=description,
            columns=(*table.columns, session, copies),
            partition_by=None,
            completed=(),
        )
    low, high, volume = table.column("low"), table.column("high"), table.column("volume")
    series = [table.column(name) for name in table.key if name == "series"]
    columns = (
        replace(SESSION_DATE, name="session"),
        table.column("instrument_id"),
        *series,
        Column("rows", WHOLE, "Rows of the batch.", unit="rows"),
        Column("distinct_rows", WHOLE, "Rows with a moment of their own.", unit="rows"),
        replace(low, name="lowest_low", description=f"Least of: {low.description}"),
        replace(high, name="highest_high", description=f"Greatest of: {high.description}"),
        Column("widest_bar_ratio", REAL, "High over low of the widest bar.", unit="ratio"),
        replace(volume, description=f"Sum of: {volume.description}"),
        *_COMPLETENESS,
        *_CONTEXT.get(table.name, ()),
    )
    key = ("session", "instrument_id", *(column.name for column in series))
    return TableSchema(f"{table.name}_profile", description, key=key, columns=columns)
