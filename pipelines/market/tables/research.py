"""Schemas of research results: backtests and risk.

Lives here: what a backtest run, its trades and equity, and a VaR figure carry.
Does not live here: how they are computed (`backtest/`, `risk/`).
"""

from __future__ import annotations

from pipelines.market.schema import DATE, REAL, TEXT, UTC_TIMESTAMP, WHOLE, Column, TableSchema
from pipelines.market.tables.bars import EXCHANGE, INSTRUMENT_ID, SESSION_DATE, SYMBOL

RUN_ID = Column("run_id", TEXT, "Hash of strategy, parameters, input fingerprint and code version.")


def _ratio(name: str, description: str) -> Column:
    return Column(name, REAL, description, unit="ratio", nullable=True)


BACKTEST_RUNS = TableSchema(
    name="backtest_runs",
    description="One row per backtest run.",
    key=("run_id",),
    columns=(
        RUN_ID,
        EXCHANGE,
        Column("algorithm_name", TEXT, "Strategy."),
        Column("scanner_used", TEXT, "Scanner whose signals were traded; several are separated by commas."),
        Column("start_date", DATE, "First session.", unit="date"),
        Column("end_date", DATE, "Last session.", unit="date"),
        Column("symbols_tested", WHOLE, "Instruments with bars.", unit="count"),
        Column("total_signals", WHOLE, "Signals seen.", unit="count"),
        Column("trades", WHOLE, "Round trips.", unit="count"),
        _ratio("total_return", "Final equity over initial cash − 1."),
        _ratio("cagr", "Compound annual growth, 252 sessions a year."),
        _ratio("max_drawdown", "Deepest fall from a peak of equity (negative)."),
        _ratio("sharpe_ratio", "Annualised mean over deviation of session returns, risk-free 0."),
        _ratio("sortino_ratio", "As Sharpe with downside deviation."),
        _ratio("sharpe_ci_low", "Lower end of the 95 % bootstrap interval of the Sharpe ratio."),
        _ratio("sharpe_ci_high", "Upper end of the 95 % bootstrap interval of the Sharpe ratio."),
        _ratio(
            "deflated_sharpe",
            "Probability that the Sharpe ratio beats the best of `trials` by luck; NULL where they are not known.",
        ),
        Column(
            "trials",
            WHOLE,
            "Parameter sets tried, this one included: those of the strategy's family in backtest_trials; of a nightly run also "
            "every scanner with parameters that nightly runs evaluated.",
            unit="count",
            nullable=True,
        ),
        Column(
            "min_track_record",
            REAL,
            "Sessions after which such a Sharpe ratio beats the best of `trials` by luck with 95 % confidence; NULL where it never "
            "does, or they are not known.",
            unit="sessions",
            nullable=True,
        ),
        _ratio(
            "overfitting_probability",
            "Probability that the family's best trial in half of this run's months ranks in the lower half in the others (PBO, by "
            "CSCV of 16 blocks); NULL for fewer than 16 months, or two trials that have them.",
        ),
        _ratio("turnover", "Traded value a year over mean equity."),
        Column("costs", REAL, "Fees and charges paid.", unit="currency"),
        Column(
            "costs_assumed",
            WHOLE,
            "Trades with a side before the first date of the cost table, priced by its first rates.",
            unit="count",
        ),
        Column(
            "costs_unsure", WHOLE, "Trades with a side at which a line of the cost table is marked weak or assumed.", unit="count"
        ),
        Column("execution_time_seconds", REAL, "Wall time of the run.", unit="seconds", observational=True),
        Column("config_snapshot", TEXT, "Parameters as canonical JSON."),
        Column("release_id", TEXT, "Release that published the run.", nullable=True, observational=True),
    ),
    sort_by=("run_id",),
)

BACKTEST_TRADES = TableSchema(
    name="backtest_trades",
    description="Round trips of each backtest run.",
    key=("run_id", "trade_number"),
    columns=(
        RUN_ID,
        Column("trade_number", WHOLE, "Order of entry within the run, from 1.", unit="count"),
        INSTRUMENT_ID,
        SYMBOL,
        Column("signal_id", TEXT, "Signal that opened the trade."),
        Column("side", TEXT, "LONG or SHORT."),
        Column("entry_ts", UTC_TIMESTAMP, "Moment of the entry fill.", unit="UTC"),
        Column("exit_ts", UTC_TIMESTAMP, "Moment of the exit fill.", unit="UTC"),
        Column("quantity", REAL, "Units held at exit, after splits.", unit="shares"),
        Column("entry_price", REAL, "Fill price as traded at entry.", unit="price"),
        Column("exit_price", REAL, "Fill price as traded at exit.", unit="price"),
        Column(
            "exit_reason",
            TEXT,
            "stop, trailing_stop, target, signal, time, session_end, kill_switch, cash_out (paid out: delisted, taken over for "
            "cash, gone without a word), unadjusted (closed at the last price before an action of unknown ratio) or end.",
        ),
        Column("fees", REAL, "Costs of both sides.", unit="currency"),
        Column("pnl", REAL, "Profit after costs.", unit="currency"),
    ),
    sort_by=("run_id", "trade_number"),
)

BACKTEST_EQUITY = TableSchema(
    name="backtest_equity",
    description="Equity of each backtest run at each session's close.",
    key=("run_id", "session_date"),
    columns=(
        RUN_ID,
        SESSION_DATE,
        Column("ts", UTC_TIMESTAMP, "Close of the session.", unit="UTC"),
        Column("equity", REAL, "Cash plus holdings at the close.", unit="currency"),
        Column("drawdown", REAL, "Equity over its running peak − 1.", unit="ratio"),
        Column("exposure", REAL, "Value of holdings over equity.", unit="ratio"),
    ),
    sort_by=("run_id", "session_date"),
)

BACKTEST_TRIALS = TableSchema(
    name="backtest_trials",
    description="Every parameter set that a strategy file, a scanner or a sweep was run with: what Sharpe ratios are deflated by.",
    key=("trial_id",),
    columns=(
        Column("trial_id", TEXT, "Hash of exchange, family and parameters."),
        EXCHANGE,
        Column("family", TEXT, "Scanners traded, sorted, separated by commas: what trades the same signals is one family."),
        Column("strategy", TEXT, "Name under which the set was run last."),
        Column("parameters", TEXT, "The set as canonical JSON: everything of a strategy file but name and dates."),
        Column("start_date", DATE, "First session of its newest run.", unit="date"),
        Column("end_date", DATE, "Last session of its newest run.", unit="date"),
        Column("sessions", WHOLE, "Sessions of its newest run.", unit="count"),
        _ratio("sharpe_per_session", "Mean over sample deviation of session returns, not annualised; NULL where they do not vary."),
    ),
    sort_by=("family", "trial_id"),
)

BACKTEST_TRIAL_MONTHS = TableSchema(
    name="backtest_trial_months",
    description="Returns of each set of backtest_trials, summed by month: any Sharpe ratio over whole months follows from them.",
    key=("trial_id", "month"),
    columns=(
        Column("trial_id", TEXT, "The set."),
        Column("month", DATE, "First day of the month.", unit="date"),
        Column("sessions", WHOLE, "Sessions of the run in that month.", unit="count"),
        Column("return_sum", REAL, "Sum of their returns.", unit="ratio"),
        Column("return_squares", REAL, "Sum of the squares of their returns.", unit="ratio²"),
    ),
    sort_by=("trial_id", "month"),
)

BACKTEST_VERDICTS = TableSchema(
    name="backtest_verdicts",
    description="What speaks against each run: the first box of its report. A figure that cannot be computed is NULL, and "
    "`missing` says why.",
    key=("run_id",),
    columns=(
        RUN_ID,
        EXCHANGE,
        Column(
            "verdict",
            TEXT,
            "peeks, nothing_traded, too_short, no_edge, overfitted, costly, too_large or holds_so_far: the first that applies.",
        ),
        Column("sentence", TEXT, "The verdict in a sentence."),
        _ratio("survivorship", "CAGR of the same strategy on those who are members at the end, less that of the run."),
        _ratio("cost_share", "Costs over the gross profit of the trades."),
        Column(
            "capacity",
            REAL,
            "Initial cash at which 19 of 20 entries stay within 5 % of their bar's volume.",
            unit="currency",
            nullable=True,
        ),
        Column("restated_rows", WHOLE, "Rows between first and last session that replaced others.", unit="count"),
        Column("peeks", WHOLE, "Ways of looking ahead that were found.", unit="count"),
        _ratio("shuffled_percentile", "Part of 100 runs of the same rules on shuffled signals with a lower Sharpe ratio."),
        _ratio("base_win_rate", "Mean part of profitable trades of these runs."),
        _ratio("base_return", "Their median total return."),
        Column("missing", TEXT, "Why figures are NULL, as JSON by their name."),
    ),
    sort_by=("run_id",),
)

RISK_VAR = TableSchema(
    name="risk_var",
    description="Value at risk and expected shortfall of one session's return, forecast from the returns before it. The newest row "
    "is the forecast for the session after the last one traded.",
    key=("portfolio", "session_date", "method", "confidence"),
    columns=(
        Column("portfolio", TEXT, "Whose returns: a backtest's run_id or a named portfolio."),
        Column(
            "session_date", DATE, "Session that the forecast is for; it uses the returns of the sessions before only.", unit="date"
        ),
        Column("method", TEXT, "historical, normal or cornish_fisher."),
        Column("confidence", REAL, "Confidence level, 0 to 1.", unit="ratio"),
        Column(
            "var",
            REAL,
            "Loss in that session not exceeded with that confidence, as a positive fraction of equity before it.",
            unit="ratio",
            nullable=True,
        ),
        Column("cvar", REAL, "Mean loss beyond VaR, as a positive fraction of equity.", unit="ratio", nullable=True),
        Column("breaches", WHOLE, "Of the 250 sessions before, those whose loss exceeded their VaR.", unit="count", nullable=True),
        Column("kupiec_p", REAL, "p-value of Kupiec's proportion of failures.", nullable=True),
        Column("christoffersen_p", REAL, "p-value of Christoffersen's conditional coverage.", nullable=True),
    ),
    sort_by=("portfolio", "session_date", "method", "confidence"),
)
