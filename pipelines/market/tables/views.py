"""Schemas of what the catalogue publishes beside the lake's tables: views over them, and copies of their newest rows.

Lives here: columns of the views in today's price basis, of the scoreboard, and of the trimmed copies that hold the newest rows.
Does not live here: their SQL (`storage/adjusted_views.py`, `storage/catalogue.py`), stored tables (beside this module).
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.market.schema import DATE, REAL, TEXT, WHOLE, Column, TableSchema
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


def _share(name: str, description: str) -> Column:
    return Column(name, REAL, description, unit="ratio", nullable=True)


SCOREBOARD = TableSchema(
    name="scoreboard",
    description="Every scanner and every backtest, after costs, beside what the same would have come to without it. A view of "
    "scanner_performance (both sides, all signals), backtest_runs and backtest_verdicts.",
    key=("exchange", "kind", "name", "scanners", "horizon", "run_id"),
    columns=(
        EXCHANGE,
        Column("kind", TEXT, "scanner: its signals one by one; strategy: a run, a portfolio by its own rules."),
        Column("name", TEXT, "Scanner or strategy."),
        Column("scanners", TEXT, "Scanners whose signals are meant."),
        Column("horizon", TEXT, "Of a scanner, as in scanner_performance; of a strategy `portfolio`."),
        Column("run_id", TEXT, "Run of a strategy; empty for a scanner."),
        Column("outcomes", WHOLE, "Signals whose outcome is known, or round trips.", unit="count"),
        _share("win_rate", "Part of them with a profit after costs."),
        _share(
            "base_rate",
            "The same without the scanner: of all instruments in the same sessions, held alike; of a strategy, of its own rules on "
            "shuffled signals.",
        ),
        _share("edge", "win_rate less base_rate."),
        _share("edge_q_value", "Of a scanner: see scanner_performance; below 0.1 one in ten is expected to be chance."),
        _share("avg_return", "Of a scanner: mean return of a signal after costs."),
        _share("total_return", "Of a strategy: of the whole run, after costs."),
        _share("base_return", "What avg_return, or total_return, is without the scanner: as for base_rate."),
        _share("profit_factor", "Sum of profits over sum of losses, after costs."),
        _share("sharpe_ratio", "Of a strategy: annual."),
        _share("deflated_sharpe", "Of a strategy: probability of more than luck among all sets tried."),
        Column("verdict", TEXT, "Of a strategy: what its report opens with.", nullable=True),
        Column("sentence", TEXT, "The same in a sentence.", nullable=True),
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
