"""Schemas of raw bars: daily, prints of other series, one-minute, and one-minute outside regular hours.

Lives here: what a stored bar carries. Prices are as traded (never adjusted), times are UTC, `ts` is the start of a bar.
Does not live here: rules about values (`quality/row_rules.py`).
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from pipelines.market.schema import DATE, REAL, TEXT, UTC_TIMESTAMP, WHOLE, Column, TableSchema

EXCHANGE = Column("exchange", TEXT, "Exchange as an ISO 10383 market identifier code (MIC).")
INSTRUMENT_ID = Column("instrument_id", TEXT, "Identity assigned at first sight; never changes through renames.")
SYMBOL = Column("symbol", TEXT, "Ticker as traded on that day.")
SESSION_DATE = Column("session_date", DATE, "Trading session, by the exchange's own calendar date.", unit="date")

OHLC = (
    Column("open", REAL, "First price of the bar, as traded.", unit="price"),
    Column("high", REAL, "Highest price of the bar, as traded.", unit="price"),
    Column("low", REAL, "Lowest price of the bar, as traded.", unit="price"),
    Column("close", REAL, "Last (or official closing) price of the bar, as traded.", unit="price"),
)
VOLUME = Column("volume", WHOLE, "Units traded within the bar.", unit="shares")

PROVENANCE = (
    Column("source", TEXT, "Name of the source that delivered the row."),
    Column("known_at", UTC_TIMESTAMP, "Moment from which the row was known; see DESIGN of the two clocks.", unit="UTC"),
    Column("batch_id", TEXT, "Delivery (file, source, options) that the row came with."),
    Column("row_number", WHOLE, "Row of the raw file that the bar was read from (1 = its first line)."),
)

BARS_DAILY = TableSchema(
    name="bars_daily",
    description="Daily bars as traded, one row per instrument and session.",
    key=("exchange", "instrument_id", "session_date"),
    columns=(
        EXCHANGE,
        INSTRUMENT_ID,
        SESSION_DATE,
        SYMBOL,
        Column("series", TEXT, "Trading series, where the exchange has them (NSE: EQ, BE, BZ).", nullable=True),
        *OHLC,
        VOLUME,
        Column("turnover", REAL, "Traded value in currency units; NULL where not given.", unit="currency", nullable=True),
        Column("trades", WHOLE, "Number of trades; NULL where not given.", unit="count", nullable=True),
        Column("prev_close", REAL, "Previous close as printed by the vendor.", unit="price", nullable=True),
        Column("delivery_qty", WHOLE, "Units marked for delivery (NSE).", unit="shares", nullable=True),
        *PROVENANCE,
        Column("session_year", WHOLE, "Calendar year of the session: the partition of the table.", unit="year"),
    ),
    partition_by="session_year",
    sort_by=("instrument_id", "session_date"),
    completed=("series", "turnover", "trades", "prev_close", "delivery_qty"),
)

_OTHER_SERIES = BARS_DAILY.derive(
    "bars_other_series",
    "Daily prints beside an instrument's bar (block deals, T+0 trades, SME, debt, rights), as traded; no input of indicators.",
    key=("exchange", "instrument_id", "session_date", "series"),
    add=(Column("isin", TEXT, "ISIN of the security that traded (a bond's is not its issuer's share's).", nullable=True),),
)
BARS_OTHER_SERIES = replace(
    _OTHER_SERIES,
    columns=tuple(replace(c, nullable=False) if c.name == "series" else c for c in _OTHER_SERIES.columns),
    sort_by=("instrument_id", "session_date", "series"),
    completed=("turnover", "trades", "prev_close", "delivery_qty", "isin"),
)

BARS_1M = TableSchema(
    name="bars_1m",
    description="One-minute bars of the regular session, as traded; a minute without a trade has no row.",
    key=("exchange", "instrument_id", "ts"),
    columns=(
        EXCHANGE,
        INSTRUMENT_ID,
        Column("ts", UTC_TIMESTAMP, "Start of the minute.", unit="UTC"),
        SYMBOL,
        SESSION_DATE,
        *OHLC,
        VOLUME,
        *PROVENANCE,
    ),
    partition_by="session_date",
    sort_by=("instrument_id", "ts"),
)

BARS_1M_LIVE = BARS_1M.derive(
    "bars_1m_live",
    "One-minute bars as a live feed delivered them; the journal that live scans read. A nightly delivery replaces nothing here.",
    key=BARS_1M.key,
    add=(),
)

BARS_1M_EXTENDED = BARS_1M.derive(
    "bars_1m_extended",
    "One-minute bars inside the exchange's extended windows (pre-open, post-close, closing auction).",
    key=BARS_1M.key,
    add=(Column("segment", TEXT, "pre, post or auction."),),
)

INTRADAY_CURVES = TableSchema(
    name="intraday_curves",
    description="The session so far at every minute, a row per instrument and session; lists run by minutes since the open.",
    key=("exchange", "instrument_id", "session_date"),
    columns=(
        EXCHANGE,
        INSTRUMENT_ID,
        SESSION_DATE,
        SYMBOL,
        Column("open", REAL, "First price of the session's minutes, as traded.", unit="price"),
        Column("bars", WHOLE, "Minutes with a bar in the whole session.", unit="count"),
        Column(
            "high_so_far", pa.list_(REAL), "Highest price up to the end of each minute; NULL before the first bar.", unit="price"
        ),
        Column("low_so_far", pa.list_(REAL), "Lowest price up to the end of each minute; NULL before the first bar.", unit="price"),
        Column("last_price", pa.list_(REAL), "Close of the last bar up to each minute; NULL before the first bar.", unit="price"),
        Column(
            "volume_so_far", pa.list_(WHOLE), "Units traded up to the end of each minute; a missing minute adds 0.", unit="shares"
        ),
        Column("known_so_far", pa.list_(UTC_TIMESTAMP), "Latest known_at of the bars up to each minute.", unit="UTC"),
    ),
    partition_by="session_date",
    sort_by=("instrument_id",),
)

INTRADAY_PROFILES = TableSchema(
    name="intraday_profiles",
    description="What an instrument usually does by each minute of a session: the mean of the 20 regular sessions before it.",
    key=("exchange", "instrument_id", "session_date"),
    columns=(
        EXCHANGE,
        INSTRUMENT_ID,
        SESSION_DATE,
        Column("sessions", WHOLE, "Sessions, of the 20, with minutes of the instrument.", unit="count"),
        Column("mean_volume", pa.list_(REAL), "Units traded by each minute, mean, in the session's basis.", unit="shares"),
        Column("median_volume", pa.list_(REAL), "Units traded by each minute, median, in the session's basis.", unit="shares"),
        Column(
            "mean_range", pa.list_(REAL), "Highest minus lowest price by each minute, mean, in the session's basis.", unit="price"
        ),
        Column("known_at", UTC_TIMESTAMP, "Latest known_at of the minutes and actions behind it.", unit="UTC"),
    ),
    partition_by="session_date",
    sort_by=("instrument_id",),
)
