"""Schemas of the indicator tables, built from the registry, so that a new indicator is declared once.

Importing this module completes the registry: plug-ins, then the indicators of the file that MARKETLAKE_INDICATORS names.

Lives here: `INDICATORS_DAILY`, `INDICATORS_1M` and the tables of carried state beside them.
Does not live here: what an indicator is (`registry`), computing a window (`window`), other tables (`market/tables`).
"""

from __future__ import annotations

import pyarrow as pa

from pipelines.indicators.registry import REGISTRY, load_custom, load_plugins
from pipelines.market.schema import FLOAT, REAL, UTC_TIMESTAMP, WHOLE, Column, TableSchema
from pipelines.market.tables.bars import EXCHANGE, INSTRUMENT_ID, SESSION_DATE, SYMBOL
from pipelines.market.tables.scanning import SESSION_YEAR
from pipelines.settings import Settings

load_plugins()
load_custom(Settings().indicators)

STATE_TYPE = pa.list_(pa.float64())

_BARS_SEEN = Column("bars_seen", WHOLE, "Bars of the instrument up to and including this one; saturates at 1,000.", unit="count")
_KNOWN_AT = Column("known_at", UTC_TIMESTAMP, "Since when the values have been what they are.", unit="UTC")
_STATE = Column("state", STATE_TYPE, "State of the kernels after the session's last bar, in the registry's order.")


def indicator_columns(real: pa.DataType) -> tuple[Column, ...]:
    """One column per registered output, in published order; NULL until the indicator is defined at the bar."""
    return tuple(Column(o.name, real, o.description, unit=o.unit, nullable=True) for o in REGISTRY.outputs())


INDICATORS_DAILY = TableSchema(
    name="indicators_daily",
    description="Indicators of daily bars, each row in the price basis of its own session.",
    key=("exchange", "instrument_id", "session_date"),
    columns=(EXCHANGE, INSTRUMENT_ID, SESSION_DATE, SYMBOL, *indicator_columns(REAL), _BARS_SEEN, _KNOWN_AT, SESSION_YEAR),
    partition_by="session_year",
    sort_by=("instrument_id", "session_date"),
)

INDICATORS_1M = TableSchema(
    name="indicators_1m",
    description="Indicators of one-minute bars, running across sessions (VWAP and OBV begin anew), in the session's price basis.",
    key=("exchange", "instrument_id", "ts"),
    columns=(
        EXCHANGE,
        INSTRUMENT_ID,
        SESSION_DATE,
        Column("ts", UTC_TIMESTAMP, "Start of the minute.", unit="UTC"),
        SYMBOL,
        *indicator_columns(FLOAT),
        _BARS_SEEN,
        _KNOWN_AT,
    ),
    partition_by="session_date",
    sort_by=("instrument_id", "ts"),
)

INDICATOR_STATE_DAILY = TableSchema(
    name="indicator_state_daily",
    description="What the daily kernels carry from one session to the next.",
    key=("exchange", "instrument_id", "session_date"),
    columns=(EXCHANGE, INSTRUMENT_ID, SESSION_DATE, _STATE, SESSION_YEAR),
    partition_by="session_year",
    sort_by=("instrument_id", "session_date"),
)

INDICATOR_STATE_1M = TableSchema(
    name="indicator_state_1m",
    description="What the one-minute kernels carry from one session to the next.",
    key=("exchange", "instrument_id", "session_date"),
    columns=(EXCHANGE, INSTRUMENT_ID, SESSION_DATE, _STATE),
    partition_by="session_date",
    sort_by=("instrument_id",),
)

INDICATOR_TABLES: dict[str, TableSchema] = {
    table.name: table for table in (INDICATORS_DAILY, INDICATORS_1M, INDICATOR_STATE_DAILY, INDICATOR_STATE_1M)
}
