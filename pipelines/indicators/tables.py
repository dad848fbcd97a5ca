"""Schemas of the indicator tables, built from a home's registry, so that a new indicator is declared once.

Lives here: `indicator_tables`, of the values and of the carried state beside them, and their names.
Does not live here: what an indicator is (`registry`), computing a window (`window`), other tables (`market/tables`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from pipelines.indicators.registry import Registry, home_registry
from pipelines.market.schema import FLOAT, REAL, UTC_TIMESTAMP, WHOLE, Column, TableSchema
from pipelines.market.tables.bars import EXCHANGE, INSTRUMENT_ID, SESSION_DATE, SYMBOL
from pipelines.market.tables.scanning import SESSION_YEAR

STATE_TYPE = pa.list_(pa.float64())

_BARS_SEEN = Column("bars_seen", WHOLE, "Bars of the instrument up to and including this one; saturates at 1,000.", unit="count")
_KNOWN_AT = Column("known_at", UTC_TIMESTAMP, "Since when the values have been what they are.", unit="UTC")
_STATE = Column("state", STATE_TYPE, "State of the kernels after the session's last bar, in the registry's order.")


def _columns(registry: Registry, real: pa.DataType) -> tuple[Column, ...]:
    """One column per registered output, in published order; NULL until the indicator is defined at the bar."""
    return tuple(Column(o.name, real, o.description, unit=o.unit, nullable=True) for o in registry.outputs())


#: Names of the tables, in the order in which they are written.
INDICATOR_TABLE_NAMES = ("indicators_daily", "indicators_1m", "indicator_state_daily", "indicator_state_1m")


@lru_cache(maxsize=16)
def indicator_tables(registry: Registry) -> Mapping[str, TableSchema]:
    """The tables of these indicators by name."""
    daily = TableSchema(
        name="indicators_daily",
        description="Indicators of daily bars, each row in the price basis of its own session.",
        key=("exchange", "instrument_id", "session_date"),
        columns=(EXCHANGE, INSTRUMENT_ID, SESSION_DATE, SYMBOL, *_columns(registry, REAL), _BARS_SEEN, _KNOWN_AT, SESSION_YEAR),
        partition_by="session_year",
        sort_by=("instrument_id", "session_date"),
    )
    minute = TableSchema(
        name="indicators_1m",
        description="Indicators of one-minute bars, running across sessions (VWAP and OBV begin anew), in the session's price "
        "basis.",
        key=("exchange", "instrument_id", "ts"),
        columns=(
            EXCHANGE,
            INSTRUMENT_ID,
            SESSION_DATE,
            Column("ts", UTC_TIMESTAMP, "Start of the minute.", unit="UTC"),
            SYMBOL,
            *_columns(registry, FLOAT),
            _BARS_SEEN,
            _KNOWN_AT,
        ),
        partition_by="session_date",
        sort_by=("instrument_id", "ts"),
    )
    daily_state = TableSchema(
        name="indicator_state_daily",
        description="What the daily kernels carry from one session to the next.",
        key=("exchange", "instrument_id", "session_date"),
        columns=(EXCHANGE, INSTRUMENT_ID, SESSION_DATE, _STATE, SESSION_YEAR),
        partition_by="session_year",
        sort_by=("instrument_id", "session_date"),
    )
    minute_state = TableSchema(
        name="indicator_state_1m",
        description="What the one-minute kernels carry from one session to the next.",
        key=("exchange", "instrument_id", "session_date"),
        columns=(EXCHANGE, INSTRUMENT_ID, SESSION_DATE, _STATE),
        partition_by="session_date",
        sort_by=("instrument_id",),
    )
    return {table.name: table for table in (daily, minute, daily_state, minute_state)}


def home_tables(path: Path | None) -> Mapping[str, TableSchema]:
    """The tables of a home whose file of chosen indicators this is (None: it has none). Raises IndicatorFileError."""
    return indicator_tables(home_registry(path))
