"""Schemas of reference data: instruments, their names through time, corporate actions, sessions.

Lives here: what is known about instruments and exchanges besides bars.
Does not live here: how actions adjust prices (`storage/adjusted_views.py`).
"""

from __future__ import annotations

from pipelines.market.schema import DATE, FLAG, REAL, TEXT, UTC_TIMESTAMP, WHOLE, Column, TableSchema
from pipelines.market.tables.bars import EXCHANGE, INSTRUMENT_ID, PROVENANCE, SESSION_DATE

#: Kinds of corporate action that the lake knows.
ACTIONS = (
    "split",
    "bonus",
    "dividend",
    "rights",
    "demerger",
    "merger",
    "delisting",
    "rename",
    "capital_reduction",
    # No action at all: a person's word that a step of the price is a true move.
    "true_move",
)

CORPORATE_ACTIONS = TableSchema(
    name="corporate_actions",
    description="Corporate actions by ex-date.",
    key=("instrument_id", "ex_date", "action"),
    columns=(
        INSTRUMENT_ID,
        Column("ex_date", DATE, "First session that trades without the entitlement.", unit="date"),
        Column("action", TEXT, f"One of {', '.join(ACTIONS)}."),
        EXCHANGE,
        Column(
            "ratio",
            REAL,
            "New shares per old share (7.0 for a 7:1 split; of a merger the successor's per share given up); of a demerger or "
            "rights issue the price after over the price before; NULL for cash, or where it is not known.",
            unit="ratio",
            nullable=True,
        ),
        Column(
            "amount",
            REAL,
            "Cash per share; NULL where none. Of a dividend per share as it trades on the ex-date, after that day's splits; of a "
            "capital reduction, merger or delisting per share given up.",
            unit="currency per share",
            nullable=True,
        ),
        Column("successor_id", TEXT, "Instrument that continues or was split off.", nullable=True),
        *PROVENANCE,
    ),
    sort_by=("instrument_id", "ex_date", "action"),
)

INSTRUMENTS = TableSchema(
    name="instruments",
    description="Instruments with the attributes that change rarely; one row per instrument and period of validity.",
    key=("instrument_id", "valid_from"),
    columns=(
        INSTRUMENT_ID,
        Column("valid_from", DATE, "First session for which the row holds.", unit="date"),
        EXCHANGE,
        Column("symbol", TEXT, "Current ticker."),
        Column("isin", TEXT, "ISIN (ISO 6166).", nullable=True),
        Column("name", TEXT, "Name of the issuer or fund.", nullable=True),
        Column("sector", TEXT, "Sector, where a source gives one.", nullable=True),
        Column("tick_size", REAL, "Smallest price step.", unit="price"),
        Column("lot_size", WHOLE, "Smallest order quantity.", unit="shares"),
        Column("valid_to", DATE, "Last session for which the row holds; NULL while open.", unit="date", nullable=True),
        Column("is_active", FLAG, "False once delisted or merged away."),
        *PROVENANCE,
    ),
    sort_by=("instrument_id", "valid_from"),
)

INSTRUMENT_ALIASES = TableSchema(
    name="instrument_aliases",
    description="Tickers and other identifiers of an instrument, each with its period.",
    key=("instrument_id", "kind", "value", "valid_from"),
    columns=(
        INSTRUMENT_ID,
        Column(
            "kind",
            TEXT,
            "symbol, isin, permanent (source and name under which it files a company for ever, as Lean's map files do; the symbols "
            "are its whole history then) or a vendor's token kind.",
        ),
        Column("value", TEXT, "The identifier."),
        Column("valid_from", DATE, "First day of use.", unit="date"),
        EXCHANGE,
        Column("valid_to", DATE, "Last day of use; NULL while in use.", unit="date", nullable=True),
        *PROVENANCE,
    ),
    sort_by=("instrument_id", "kind", "valid_from", "value"),
)

SESSIONS = TableSchema(
    name="sessions",
    description="The exchange's trading sessions.",
    key=("exchange", "session_date"),
    columns=(
        EXCHANGE,
        SESSION_DATE,
        Column(
            "session_number",
            WHOLE,
            "Sessions of the exchange counted from the calendar's start; consecutive.",
            unit="count",
        ),
        Column("opens_at", UTC_TIMESTAMP, "Open of the regular session.", unit="UTC"),
        Column("closes_at", UTC_TIMESTAMP, "Close of the regular session.", unit="UTC"),
        Column("windows", TEXT, "Regular trading windows as JSON: [[open, close], …] in UTC."),
        Column("bars_expected", WHOLE, "One-minute bars of the regular session.", unit="count"),
        Column(
            "bars_expected_auction",
            WHOLE,
            "The same for instruments that leave continuous trading for a closing auction; NULL where there is none.",
            unit="count",
            nullable=True,
        ),
        Column(
            "close_averaged_from",
            UTC_TIMESTAMP,
            "Start of the minutes whose volume-weighted price is the official close; NULL where the close is a trade.",
            unit="UTC",
            nullable=True,
        ),
        Column("kind", TEXT, "regular, half_day or special."),
        Column("midnight_at", UTC_TIMESTAMP, "Start of the date by the exchange's clock: times of day count from it.", unit="UTC"),
        Column("regular_before", WHOLE, "Regular sessions since the calendar's start and before this one.", unit="count"),
        Column(
            "status",
            TEXT,
            "known: a calendar says so. Later weekdays are sessions too: confirmed where the lake holds a whole-market file of the "
            "day, else provisional. Of those before the newest bars, the ones without any bar are left out.",
        ),
    ),
    sort_by=("session_date",),
)

__all__ = ["ACTIONS", "CORPORATE_ACTIONS", "INSTRUMENTS", "INSTRUMENT_ALIASES", "SESSIONS", "UTC_TIMESTAMP"]
