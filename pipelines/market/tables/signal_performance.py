"""Schemas of the track record: what became of each signal, and what that makes of each scanner.

Lives here: the columns of `signal_outcomes` and `scanner_performance`.
Does not live here: the rules by which an outcome is found and counted (`backtest/signal_performance/`, described in
docs/scanners/track-record.md).
"""

from __future__ import annotations

from pipelines.market.schema import DATE, FLAG, REAL, TEXT, UTC_TIMESTAMP, WHOLE, Column, TableSchema
from pipelines.market.tables.bars import EXCHANGE, INSTRUMENT_ID, SESSION_DATE

_SESSION_YEAR = Column("session_year", WHOLE, "Calendar year of the signal's session: the partition of the table.", unit="year")
_HORIZON = Column(
    "horizon",
    TEXT,
    "end_of_day (left at the close of the entry session), 1, 5 or 20 (the n-th regular session's close, the entry session being "
    "the first), or stop_target (whichever is hit first, the 20th session's close at the latest).",
)


def _share(name: str, description: str) -> Column:
    return Column(name, REAL, description, unit="ratio", nullable=True)


SIGNAL_OUTCOMES = TableSchema(
    name="signal_outcomes",
    description="What became of each signal of scanner_signals, a row per horizon; the evidence behind scanner_performance.",
    key=("signal_id", "horizon"),
    columns=(
        Column("signal_id", TEXT, "Signal followed."),
        _HORIZON,
        Column("scanner_name", TEXT, "Scanner that decided."),
        EXCHANGE,
        INSTRUMENT_ID,
        SESSION_DATE,
        Column("side", TEXT, "BUY or SELL."),
        Column(
            "status",
            TEXT,
            "finished; open (its end has not come, or nobody has taken the other side since); late (known more than a session "
            "after its own); not_entered (no price in its session that would have filled it); no_levels (neither stop nor target); "
            "no_intraday (would be left in the session of its entry, which a trade-to-trade series forbids); unadjusted (an action "
            "of unknown ratio lies between, or a gap that only an action missing from the lake explains).",
        ),
        Column(
            "is_over",
            FLAG,
            "Whether the horizon's last session has closed; scanner_performance counts only such rows, since what touches a level "
            "early says nothing of what is still open.",
        ),
        Column(
            "position",
            TEXT,
            "long; intraday_short (a SELL bought back in its entry session); exit (a SELL held longer: a holding left and taken up "
            "again, since the cash market knows no overnight short).",
            nullable=True,
        ),
        Column(
            "entry_ts", UTC_TIMESTAMP, "Start of the bar entered at: the first one from known_at on.", unit="UTC", nullable=True
        ),
        Column("entry_price", REAL, "Open of that bar, as traded.", unit="price", nullable=True),
        Column("exit_ts", UTC_TIMESTAMP, "Moment of the exit: a bar's start at its open, else its end.", unit="UTC", nullable=True),
        Column(
            "exit_price",
            REAL,
            "Price left at, as traded at that time; after a merger the value of a share given up.",
            unit="price",
            nullable=True,
        ),
        Column(
            "exit_reason",
            TEXT,
            "close (of the horizon, or the first open after it at which the position could be left), stop, target, time "
            "(stop_target held to its last session) or cash_out (paid out: delisted, taken over for cash, gone without a word).",
            nullable=True,
        ),
        _share("gross_return", "Side-signed return before costs, splits between entry and exit undone."),
        _share("costs", "Costs of both sides, of the entry's value."),
        _share("net_return", "gross_return less costs; above 0 the signal was profitable."),
        Column("costs_assumed", FLAG, "Whether a side lies before the first date of the cost table.", nullable=True),
        Column(
            "cost_class",
            TEXT,
            "Lines of the cost table that charge it: equity, equity_fund or other_fund; NULL where the exchange has no table.",
            nullable=True,
        ),
        Column(
            "base_size", WHOLE, "Instruments of the universe that the base rate of this signal counts.", unit="count", nullable=True
        ),
        _share("base_rate", "Share of them that were profitable by the same side, entry and exit."),
        _share("base_return", "Mean of their net returns."),
        _SESSION_YEAR,
    ),
    partition_by="session_year",
    sort_by=("session_date", "scanner_name", "instrument_id", "signal_id", "horizon"),
)

SCANNER_PERFORMANCE = TableSchema(
    name="scanner_performance",
    description="Track record of each scanner by horizon, side and scope, net of dated costs, beside its base rate. Hundreds of "
    "rows stand side by side: judge one by edge_q_value, not by its interval alone. A lake that holds today's members only makes "
    "win rates and base rates those of survivors.",
    key=("exchange", "scanner_name", "parameters_hash", "universe", "horizon", "side", "scope"),
    columns=(
        EXCHANGE,
        Column("scanner_name", TEXT, "Scanner."),
        Column("parameters_hash", TEXT, "SHA-256 of the parameters, as signal_id holds it."),
        Column("universe", TEXT, "Universe that the scanner looks at; the base rate counts all that trades."),
        _HORIZON,
        Column("side", TEXT, "BUY, SELL, or ALL of both."),
        Column(
            "scope",
            TEXT,
            "all signals, or non_overlapping: without those that came while one of the same instrument and side was held.",
        ),
        Column("scanner_version", WHOLE, "Version of the scanner's rule."),
        Column("total_signals", WHOLE, "Signals whose outcome is known.", unit="count"),
        Column("profitable_signals", WHOLE, "Those with a net return above 0.", unit="count"),
        _share("win_rate", "profitable_signals over total_signals."),
        _share(
            "win_rate_low",
            "Lower end of its 95 % interval by a bootstrap of blocks of twice the horizon; NULL for fewer than two blocks.",
        ),
        _share("win_rate_high", "Upper end of that interval."),
        _share("wilson_low", "Lower end of Wilson's 95 % interval, which takes signals for independent."),
        _share("wilson_high", "Upper end of that interval."),
        _share("base_rate", "Win rate of the same instruments, sessions, side, entry and exit without the scanner."),
        _share("edge", "win_rate less base_rate."),
        _share("edge_low", "Lower end of its 95 % interval by the same bootstrap."),
        _share("edge_high", "Upper end of that interval."),
        _share("edge_p_value", "Two-sided p-value that the edge is 0, by the same bootstrap; for this row alone."),
        _share(
            "edge_q_value",
            "Least false-discovery rate at which this row counts as different from its base rate among all rows of the exchange "
            "(Benjamini-Hochberg): of the rows below 0.1, one in ten is expected to be chance.",
        ),
        _share("avg_return", "Mean net return of a signal."),
        _share("base_return", "Mean net return without the scanner."),
        _share("avg_profit", "Mean net return of the profitable signals."),
        _share("avg_loss", "Mean net return of the losing signals (negative)."),
        _share("avg_costs", "Mean costs of a signal."),
        _share("profit_factor", "Sum of profits over sum of losses; NULL without a loss."),
        Column("max_consecutive_losses", WHOLE, "Longest run of losses in order of entry.", unit="count"),
        Column("stop_exits", WHOLE, "Exits at the stop.", unit="count"),
        Column("target_exits", WHOLE, "Exits at the target.", unit="count"),
        Column("time_exits", WHOLE, "Exits at a close, or paid out.", unit="count"),
        Column("open_signals", WHOLE, "Signals whose end has not come; not in total_signals.", unit="count"),
        Column(
            "left_out",
            WHOLE,
            "Signals late, not entered, without levels or not allowed within the day; not in total_signals.",
            unit="count",
        ),
        Column(
            "unadjusted",
            WHOLE,
            "Signals dropped for an action of unknown ratio, or one missing from the lake; not in total_signals.",
            unit="count",
        ),
        Column("costs_assumed", WHOLE, "Signals priced, in part, by the first rates of the cost table.", unit="count"),
        Column("sessions", WHOLE, "Sessions with a counted signal.", unit="count"),
        Column("first_session", DATE, "First of them.", unit="date", nullable=True),
        Column("last_session", DATE, "Last of them.", unit="date", nullable=True),
    ),
    sort_by=("scanner_name", "parameters_hash", "universe", "horizon", "side", "scope"),
)
