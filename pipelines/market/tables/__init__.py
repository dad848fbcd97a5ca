"""Every table of the lake whose columns are fixed, by name.

Lives here: the registry `TABLES` and which tables ingest merges into.
Does not live here: indicator tables, whose columns follow their registry (`indicators/tables.py`); reading or writing (`storage/`).
"""

from __future__ import annotations

from pipelines.market.schema import TableSchema
from pipelines.market.tables import bars, operations, quality, reference, research, scanning, signal_performance

#: Tables that ingest writes row by row with a merge by key; a replaced row moves to `<table>_superseded`.
MERGED: tuple[TableSchema, ...] = (
    bars.BARS_DAILY,
    bars.BARS_OTHER_SERIES,
    bars.BARS_1M,
    bars.BARS_1M_EXTENDED,
    reference.CORPORATE_ACTIONS,
    reference.INSTRUMENTS,
    reference.INSTRUMENT_ALIASES,
)

#: Tables of bars as vendors deliver them.
BAR_TABLES = ("bars_daily", "bars_other_series", "bars_1m", "bars_1m_extended")

TABLES: dict[str, TableSchema] = {
    table.name: table
    for table in (
        *MERGED,
        *(operations.superseded(table) for table in MERGED),
        operations.superseded(scanning.SCANNER_SIGNALS),
        bars.BARS_1M_LIVE,
        bars.INTRADAY_CURVES,
        bars.INTRADAY_PROFILES,
        reference.SESSIONS,
        scanning.SCANNER_SIGNALS,
        scanning.SIGNALS_LIVE,
        scanning.SCANNER_RUNS,
        scanning.MARKET_REGIME,
        scanning.CONFLUENCE,
        research.BACKTEST_RUNS,
        research.BACKTEST_TRADES,
        research.BACKTEST_EQUITY,
        research.BACKTEST_TRIALS,
        research.BACKTEST_TRIAL_MONTHS,
        research.BACKTEST_VERDICTS,
        research.RISK_VAR,
        signal_performance.SIGNAL_OUTCOMES,
        signal_performance.SCANNER_PERFORMANCE,
        operations.DATA_QUALITY_METRICS,
        quality.PRICE_FLAGS,
        quality.MINUTE_RECONCILIATION,
        operations.QUARANTINE,
        operations.RAW_FILES,
        operations.RELEASES,
    )
}


def table(name: str) -> TableSchema:
    """The schema called `name`; KeyError naming the known ones when there is none."""
    try:
        return TABLES[name]
    except KeyError:
        raise KeyError(f"unknown table {name!r}; known: {', '.join(sorted(TABLES))}") from None
