"""Schemas of what scanners produce: signals, live signals, and the record of each scan.

Lives here: what a signal carries.
Does not live here: the scanners (`dbt_project/models/scanners`) and their registry (`scanners/`).
"""

from __future__ import annotations

from pipelines.market.schema import DATE, REAL, TEXT, UTC_TIMESTAMP, WHOLE, Column, TableSchema
from pipelines.market.tables.bars import EXCHANGE, INSTRUMENT_ID, SESSION_DATE, SYMBOL

SESSION_YEAR = Column("session_year", WHOLE, "Calendar year of the session: the partition of the table.", unit="year")

SCANNER_SIGNALS = TableSchema(
    name="scanner_signals",
    description="Signals of every scanner, nightly and over history. `ts` is the moment of decision.",
    key=("signal_id",),
    columns=(
        Column("signal_id", TEXT, "Hash of scanner, version, parameters, instrument, session, ts and side."),
        Column("scanner_name", TEXT, "Scanner that decided."),
        Column("scanner_version", WHOLE, "Version of the scanner's rule."),
        EXCHANGE,
        INSTRUMENT_ID,
        SYMBOL,
        SESSION_DATE,
        Column("ts", UTC_TIMESTAMP, "Moment of decision (as of which the scanner looked).", unit="UTC"),
        Column("timeframe", TEXT, "Bar size the rule is about: 1d or 1m."),
        Column("signal_type", TEXT, "BUY, SELL or HOLD."),
        Column("entry_price", REAL, "Price at decision, as traded.", unit="price"),
        Column("target_price", REAL, "Price to take profit at, as traded.", unit="price", nullable=True),
        Column("stop_loss", REAL, "Price to give up at, as traded.", unit="price", nullable=True),
        Column("confidence_score", REAL, "Rank from 0 to 1; not a probability.", unit="ratio"),
        Column("details", TEXT, "The numbers behind the decision as JSON."),
        Column("superseded_by", TEXT, "Signal that replaces this one after a restatement.", nullable=True),
        Column("known_at", UTC_TIMESTAMP, "Latest known_at of the inputs when it was issued, never before ts.", unit="UTC"),
        SESSION_YEAR,
    ),
    partition_by="session_year",
    sort_by=("session_date", "scanner_name", "instrument_id", "ts", "signal_id"),
)

SIGNALS_LIVE = TableSchema(
    name="signals_live",
    description="Signals as live scans issued them; appended, never deleted by a nightly run.",
    key=("signal_id", "mode"),
    columns=(
        *SCANNER_SIGNALS.columns,
        Column("mode", TEXT, "live, history (a recorded scan of a released session) or replay."),
        Column("run_key", TEXT, "Batch of bars that set off the scan."),
    ),
    partition_by="session_year",
    sort_by=SCANNER_SIGNALS.sort_by,
)

SCANNER_RUNS = TableSchema(
    name="scanner_runs",
    description="One row per scan: what it should have seen and what it saw.",
    key=("scanner_name", "exchange", "as_of_ts", "mode"),
    columns=(
        Column("scanner_name", TEXT, "Scanner that ran."),
        EXCHANGE,
        SESSION_DATE,
        Column("as_of_ts", UTC_TIMESTAMP, "Moment that the scan looked at.", unit="UTC"),
        Column("mode", TEXT, "nightly, live or history."),
        Column(
            "universe_size",
            WHOLE,
            "Active instruments that traded in the 20 sessions before (with minutes, for an intraday scanner).",
            unit="count",
        ),
        Column("instruments_scanned", WHOLE, "Instruments with all inputs the rule needs.", unit="count"),
        Column("coverage_pct", REAL, "Scanned over universe.", unit="percent"),
        Column("status", TEXT, "complete, partial, or withheld: too little was covered, so that no signal was issued."),
        Column("signals", WHOLE, "Signals issued.", unit="count"),
        Column("signals_withheld", WHOLE, "Signals found and not issued, for want of coverage.", unit="count"),
        Column(
            "instruments_with_gaps",
            WHOLE,
            "Of those scanned, judged although sessions of the look-back have no bar, as tolerated; NULL in older scans.",
            unit="count",
            nullable=True,
        ),
        Column(
            "signals_refused",
            WHOLE,
            "Signals found and not issued for their prices: no entry above zero, a stop at or behind it; NULL in older scans.",
            unit="count",
            nullable=True,
        ),
        Column("duration_ms", REAL, "Wall time of the scan.", unit="milliseconds", nullable=True, observational=True),
        SESSION_YEAR,
    ),
    partition_by="session_year",
    sort_by=("session_date", "scanner_name", "as_of_ts", "mode"),
)

MARKET_REGIME = TableSchema(
    name="market_regime",
    description="What kind of market each instrument is in as of each session's close: trend, range or volatile.",
    key=("exchange", "instrument_id", "session_date"),
    columns=(
        EXCHANGE,
        INSTRUMENT_ID,
        SESSION_DATE,
        SYMBOL,
        Column("regime", TEXT, "volatile, trend or range; NULL while it is not known.", nullable=True),
        Column("direction", WHOLE, "Side of the directional lines: 1 up, -1 down, 0 neither.", nullable=True),
        Column("adx_14", REAL, "Strength of the trend, ADX 14.", unit="points", nullable=True),
        Column("adx_14_before", REAL, "The same five sessions before.", unit="points", nullable=True),
        Column("atr_pct", REAL, "ATR 14 over the close.", unit="percent", nullable=True),
        Column("atr_pct_high", REAL, "90th percentile of it over 252 regular sessions before.", unit="percent", nullable=True),
        Column("atr_sessions", WHOLE, "How many of those had an ATR; 126 are needed.", unit="count"),
        Column("known_at", UTC_TIMESTAMP, "Latest known_at of the rows it stands on.", unit="UTC"),
        SESSION_YEAR,
    ),
    partition_by="session_year",
    sort_by=("instrument_id", "session_date"),
)

CONFLUENCE = TableSchema(
    name="confluence",
    description="Signals of one instrument, moment and side put together: who agrees, who disagrees, in which regime.",
    key=("exchange", "instrument_id", "as_of_ts", "signal_type"),
    columns=(
        EXCHANGE,
        INSTRUMENT_ID,
        SESSION_DATE,
        Column("as_of_ts", UTC_TIMESTAMP, "Moment of decision that the signals share.", unit="UTC"),
        Column("signal_type", TEXT, "The side: BUY or SELL."),
        SYMBOL,
        Column("agreeing", WHOLE, "Scanners with a signal of this side.", unit="count"),
        Column("agreeing_scanners", TEXT, "Their names, in order, separated by comma and space."),
        Column("agreeing_families", WHOLE, "Families they belong to.", unit="count"),
        Column("disagreeing", WHOLE, "Scanners with a signal of the other side.", unit="count"),
        Column("disagreeing_scanners", TEXT, "Their names; NULL when there are none.", nullable=True),
        Column("regime", TEXT, "Regime of the last closed session: volatile, trend, range or NULL.", nullable=True),
        Column("regime_direction", WHOLE, "Side of the directional lines then: 1, -1 or 0.", nullable=True),
        Column("mean_score", REAL, "Mean confidence_score of those that agree.", unit="ratio"),
        Column("breadth_score", REAL, "(agreeing_families - 1) / 2, at most 1.", unit="ratio"),
        Column("regime_score", REAL, "1 a trend of this side, 0 against a trend or volatile, else 0.5.", unit="ratio"),
        Column("opposition", REAL, "disagreeing / (agreeing + disagreeing).", unit="ratio"),
        Column(
            "combined_score",
            REAL,
            "(0.5 mean_score + 0.3 breadth_score + 0.2 regime_score) * (1 - opposition): a rank, not a probability.",
            unit="ratio",
        ),
        Column("known_at", UTC_TIMESTAMP, "Latest known_at of the signals on both sides and of the regime.", unit="UTC"),
        SESSION_YEAR,
    ),
    partition_by="session_year",
    sort_by=("session_date", "instrument_id", "as_of_ts", "signal_type"),
)

__all__ = ["CONFLUENCE", "DATE", "MARKET_REGIME", "SCANNER_RUNS", "SCANNER_SIGNALS", "SIGNALS_LIVE"]
