"""Schemas of what is noticed about published bars: prices that look wrong, and minutes that do not add up to their day.

Lives here: findings, which change no bar and refuse none.
Does not live here: figures of completeness (`operations.DATA_QUALITY_METRICS`), rows that were refused (`operations.QUARANTINE`).
"""

from __future__ import annotations

from pipelines.market.schema import DATE, FLAG, REAL, TEXT, WHOLE, Column, TableSchema
from pipelines.market.tables.bars import EXCHANGE, INSTRUMENT_ID, SESSION_DATE, SYMBOL

_SESSION_YEAR = Column("session_year", WHOLE, "Calendar year of the session: the partition of the table.", unit="year")

#: What is noticed about a daily price; the first two are suspected actions, which wait for a person's decision.
PRICE_FLAG_KINDS = (
    "unrecorded_split",
    "unrecorded_demerger",
    "split_without_jump",
    "frozen_price",
    "price_spike",
    "wide_range",
)
SUSPECTED_ACTIONS = PRICE_FLAG_KINDS[:2]

PRICE_FLAGS = TableSchema(
    name="price_flags",
    description="Daily prices worth a look: unrecorded splits, recorded ones without a jump, frozen and wild prices; none mended.",
    key=("exchange", "instrument_id", "session_date", "flag"),
    columns=(
        EXCHANGE,
        INSTRUMENT_ID,
        SESSION_DATE,
        Column("flag", TEXT, f"One of {', '.join(PRICE_FLAG_KINDS)}."),
        SYMBOL,
        Column("since", DATE, "Session compared with; of a frozen price its first session, of a spike the spike.", unit="date"),
        Column("price_ratio", REAL, "Close over the close compared with, as traded.", unit="ratio"),
        Column(
            "split_ratio",
            REAL,
            "New shares per old that the step looks like, or that was recorded; NULL of the other flags.",
            unit="ratio",
            nullable=True,
        ),
        Column(
            "volume_ratio", REAL, "Volume over the median of the 20 sessions before; NULL without one.", unit="ratio", nullable=True
        ),
        _SESSION_YEAR,
    ),
    partition_by="session_year",
    sort_by=("instrument_id", "session_date", "flag"),
)

MINUTE_RECONCILIATION = TableSchema(
    name="minute_reconciliation",
    description="One-minute bars of a session against the daily bar, on what is comparable: official close, high, low, volume.",
    key=("exchange", "instrument_id", "session_date"),
    columns=(
        EXCHANGE,
        INSTRUMENT_ID,
        SESSION_DATE,
        SYMBOL,
        Column("minutes", WHOLE, "One-minute bars of regular trading.", unit="count"),
        Column("close", REAL, "Close of the daily bar, as traded.", unit="price"),
        Column(
            "minute_close",
            REAL,
            "Volume-weighted typical price of the minutes that the exchange averages; NULL where the close is no average.",
            unit="price",
            nullable=True,
        ),
        Column(
            "close_error_bp", REAL, "minute_close over close - 1, in hundredths of a percent.", unit="basis points", nullable=True
        ),
        Column("high_error_ticks", REAL, "High of the minutes less high of the day.", unit="ticks"),
        Column("low_error_ticks", REAL, "Low of the minutes less low of the day.", unit="ticks"),
        Column(
            "volume_ratio", REAL, "Volume of the minutes over volume of the day; NULL without volume.", unit="ratio", nullable=True
        ),
        Column("agrees", FLAG, "Close within 5 basis points, high and low within 2 ticks, volume 0.99 to 1.00 of the day's."),
        _SESSION_YEAR,
    ),
    partition_by="session_year",
    sort_by=("instrument_id", "session_date"),
)
