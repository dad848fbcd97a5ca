"""Schemas of what a build prepares for its models beside the lake's tables: windows, universes, effects of findings, auctions.

Lives here: their columns; the relations live as long as one build, in schema `lake` of its database.
Does not live here: filling them (`build/plan.py`, `scanners/universes.py`), tables that the lake keeps (beside this module).
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.market.schema import DATE, REAL, TEXT, TIME, Column, TableSchema
from pipelines.market.tables.bars import EXCHANGE

CLOSING_AUCTIONS = TableSchema(
    name="closing_auctions",
    description="Instruments that leave continuous trading for a closing auction, and between which sessions.",
    key=("exchange", "symbol", "valid_from"),
    columns=(
        EXCHANGE,
        Column("symbol", TEXT, "Ticker of the instrument."),
        Column("valid_from", DATE, "First session with the auction.", unit="date"),
        Column("valid_to", DATE, "Last session with it.", unit="date"),
        Column("starts", TIME, "Start of the auction by the exchange's clock.", unit="local time"),
        Column("ends", TIME, "End of the auction, exclusive.", unit="local time"),
    ),
)

UNIVERSE_MEMBERS = TableSchema(
    name="universe_members",
    description="Symbols of the user's universes, by the days on which they belonged.",
    key=("universe_name", "exchange", "symbol", "valid_from"),
    columns=(
        Column("universe_name", TEXT, "Universe."),
        EXCHANGE,
        Column("symbol", TEXT, "Ticker on the day, or instrument_id."),
        Column("valid_from", DATE, "First session that it belongs to the universe.", unit="date"),
        Column("valid_to", DATE, "Last session that it does.", unit="date"),
    ),
)

UNIVERSE_RULES = TableSchema(
    name="universe_rules",
    description="Universes by a rule, with their thresholds.",
    key=("universe_name",),
    columns=(
        Column("universe_name", TEXT, "Universe."),
        Column(
            "min_traded_value",
            REAL,
            "Value that the median of close × volume over 20 regular sessions must exceed.",
            unit="currency",
        ),
    ),
)

FINDING_EFFECTS = TableSchema(
    name="finding_effects",
    description="What findings do to signals where the home chose other than the default.",
    key=("finding",),
    columns=(
        Column("finding", TEXT, "Kind of finding."),
        Column("effect", TEXT, "What it does to a signal."),
    ),
)

WINDOW_DAILY = TableSchema(
    name="window_daily",
    description="Daily rows to build, as instrument_id, from_session, to_session (both included).",
    key=("instrument_id",),
    columns=(
        Column("instrument_id", TEXT, "Instrument to build."),
        Column("from_session", DATE, "First session to build.", unit="date"),
        Column("to_session", DATE, "Last session to build.", unit="date"),
        Column(
            "changed_to",
            DATE,
            "Last session whose inputs changed; rows after it only follow from what came before them.",
            unit="date",
        ),
    ),
)

WINDOW_1M = replace(WINDOW_DAILY, name="window_1m", description="One-minute rows to build, as window_daily.")

WINDOW_LISTINGS = replace(
    WINDOW_DAILY,
    name="window_listings",
    description="Instruments that the universes of these sessions gain or lose without any change of their bars (a delisting "
    "learned late, a ticker of a list), as window_daily. Only scanners look at them.",
)

WINDOW_BOUNDS = TableSchema(
    name="window_bounds",
    description="One row with the exchange's first and last session with bars; none where a scan builds nothing.",
    key=("first_session",),
    columns=(
        Column("first_session", DATE, "First session with bars.", unit="date"),
        Column("last_session", DATE, "Last session with bars.", unit="date"),
    ),
)

#: Every one by name, in the order in which a build's database lists them.
BUILD_INPUTS: dict[str, TableSchema] = {
    table.name: table
    for table in (
        CLOSING_AUCTIONS,
        UNIVERSE_MEMBERS,
        UNIVERSE_RULES,
        FINDING_EFFECTS,
        WINDOW_DAILY,
        WINDOW_1M,
        WINDOW_LISTINGS,
        WINDOW_BOUNDS,
    )
}
