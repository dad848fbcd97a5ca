"""Schemas of what the catalogue publishes beside the lake's tables: views over them, and copies of their newest rows.

Lives here: columns of the views in today's price basis, and of the trimmed copies that hold the newest rows.
Does not live here: their SQL (`storage/adjusted_views.py`, `storage/catalogue.py`), stored tables (beside this module).
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.market.schema import DATE, REAL, TEXT, Column, TableSchema
from pipelines.market.tables.bars import EXCHANGE, INSTRUMENT_ID, PROVENANCE

#: Columns of daily bars that a split or a demerger rescales.
ADJUSTED_PRICES = ("open", "high", "low", "close")

_SPLIT_FACTOR = Column("split_factor", REAL, "Later splits, bonuses and capital reductions: old units per new.", unit="ratio")
_DEMERGER_FACTOR = Column("demerger_factor", REAL, "Later demergers and rights issues: what they left of the price.", unit="ratio")
_DIVIDEND_FACTOR = Column("dividend_factor", REAL, "Later dividends: product of 1 - amount / last close before.", unit="ratio")

PRICE_FACTORS = TableSchema(
    name="price_factors",
    description="Factors of today's price basis, one row per instrument and interval between ex-dates; no row after the last.",
    key=("exchange", "instrument_id", "before_session"),
    columns=(
        EXCHANGE,
        INSTRUMENT_ID,
        Column("from_session", DATE, "First session of the interval; NULL for the beginning.", unit="date", nullable=True),
        Column("before_session", DATE, "Ex-date that ends the interval: the first session after it.", unit="date"),
        _SPLIT_FACTOR,
        _DEMERGER_FACTOR,
        _DIVIDEND_FACTOR,
    ),
)

_NOT_ADJUSTED = {column.name for column in PROVENANCE} - {"known_at"}
_RELEASE_ID = Column("release_id", TEXT, "Release that the catalogue shows.", observational=True)
_SUSPECTED_ACTION = Column(
    "suspected_action",
    DATE,
    "Session of the last suspected split or demerger up to the row that nobody has decided (price_flags): the values may span it.",
    unit="date",
    nullable=True,
)

#: Tables whose newest rows the catalogue keeps in its own file, and how many of each instrument.
LATEST_ROWS = {"indicators_daily": 1, "bars_daily": 50}


def adjusted(bars: TableSchema) -> TableSchema:
    """The view of daily bars in today's price basis."""
    return TableSchema(
        name=f"{bars.name}_adjusted",
        description="Daily bars in today's price basis: prices times split_factor and demerger_factor, volume over split_factor.",
        key=bars.key,
        columns=(
            *(
                replace(column, type=REAL, description=f"{column.description.removesuffix(', as traded.').rstrip('.')}, adjusted.")
                if column.name in {*ADJUSTED_PRICES, "volume"}
                else column
                for column in bars.columns
                if column.name not in _NOT_ADJUSTED
            ),
            Column("close_total_return", REAL, "Adjusted close times dividend_factor: dividends reinvested.", unit="price"),
            _SPLIT_FACTOR,
            _DEMERGER_FACTOR,
            _DIVIDEND_FACTOR,
        ),
    )


def of_release(signals: TableSchema) -> TableSchema:
    """Signals as the catalogue shows them: with the release that it is of."""
    return replace(signals, columns=(*signals.columns, _RELEASE_ID))


def latest(table: TableSchema) -> TableSchema:
    """The copy of a table's newest rows of each instrument."""
    return replace(
        table,
        name=f"{table.name}_latest",
        description=f"The last {LATEST_ROWS[table.name]} rows of {table.name} for each instrument.",
        partition_by=None,
    )


def with_marks(indicators: TableSchema) -> TableSchema:
    """An indicator table as the catalogue shows it: with the suspected action that its values may span."""
    return replace(indicators, columns=(*indicators.columns, _SUSPECTED_ACTION))


def with_factors(indicators: TableSchema) -> TableSchema:
    """The view of an indicator table in today's price basis."""
    return replace(
        indicators,
        name=f"{indicators.name}_adjusted",
        description="Indicators in today's price basis: by its unit each column times the factors, or as stored.",
        columns=(*indicators.columns, _SPLIT_FACTOR, _DEMERGER_FACTOR),
        partition_by=None,
    )
