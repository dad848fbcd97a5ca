"""The report of a backtest run: one HTML file that needs nothing but itself and opens with what speaks against the run.

Lives here: what the page shows. Does not live here: charts (`series`), markup (`templates/run_report.html.j2`), value at risk
(`risk_section`), or any calculation of performance, risk or verdict (`backtest/`, `risk/`).

The same frames give the same bytes: nothing observed (durations, clock, release of publication) is on the page. It refers to
nothing outside itself, and its content security policy forbids the browser to load anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.backtest import statistics
from pipelines.backtest.run_setup import RunSetup
from pipelines.backtest.run_views import (
    ROLLING_WINDOW,
    GrossToNet,
    benchmark_levels,
    gross_to_net,
    monthly_returns,
    price_factors,
    rolling_figures,
)
from pipelines.backtest.verdict.figures import Evidence
from pipelines.market.tables.research import BACKTEST_RUNS
from pipelines.reports import series
from pipelines.reports.formats import amount, percent, plain, ratio
from pipelines.reports.pages import render_page
from pipelines.reports.risk_section import risk_section
from pipelines.reports.verdict_box import verdict_box

#: Trades on the page: a page stays below a megabyte.
TRADES_SHOWN = 500


@dataclass(frozen=True)
class ReportedRun:
    """A run and what it stands on.

    run: a row of `backtest_runs`. trades, equity: its rows of `backtest_trades` and `backtest_equity`. setup: what it was made of.
    evidence: of `backtest.verdict`. provenance: versions, fingerprints, the release; nested mappings are written as JSON.
    """

    run: Mapping[str, Any]
    trades: pl.DataFrame
    equity: pl.DataFrame
    setup: RunSetup
    evidence: Evidence
    provenance: Mapping[str, Any]


def build_run_report(
    reported: ReportedRun,
    *,
    title: str = "Backtest",
    var: pl.DataFrame | None = None,
    timezone: str = "UTC",
    currency: str = "",
    instruments: int = 2,
) -> str:
    """The report of one backtest run, as HTML.

    title: what kind of report it is. var: rows of `risk_var`; None for a report without value at risk. timezone: IANA name of the
    exchange's zone, for the times of trades. currency: its code, for amounts. instruments: how many of the most traded ones get a
    price chart.

    Raises ValueError if `equity` is empty: a run without a session cannot be reported.
    """
    run = reported.run
    if reported.equity.is_empty():
        raise ValueError(f"report of run {run.get('run_id')}: backtest_equity has no rows for it; run the backtest first.")
    equity, trades = reported.equity.sort("session_date"), reported.trades.sort("trade_number")
    config = json.loads(run["config_snapshot"])
    cash = float(config["rules"]["initial_cash"])
    days = equity["session_date"]
    returns = statistics.session_returns(equity["equity"].to_numpy(), cash)
    benchmark = benchmark_levels(reported.setup.bars, reported.setup.actions, days, cash)
    rolling = rolling_figures(days, returns)
    prices = _price_sections(reported, trades, instruments, timezone)
    return render_page(
        "run_report.html.j2",
        timezone=timezone,
        with_charts=True,
        title=title,
        run=run,
        currency=currency,
        box=verdict_box(reported.evidence, currency),
        tiles=_tiles(run, trades, float(benchmark[-1]) / cash - 1.0),
        equity_chart=series.equity_chart(equity, benchmark, cash),
        prices=prices,
        months=monthly_returns(days, returns),
        flow=_flow(gross_to_net(trades, float(equity["equity"][-1]) - cash), cash),
        rolling_chart=series.rolling_chart(rolling) if rolling.height > 1 else None,
        rolling_window=ROLLING_WINDOW,
        risk=None if var is None else risk_section(equity, cash, var),
        trades=trades.tail(TRADES_SHOWN).to_dicts(),
        all_trades=trades.height,
        assumptions=_assumptions(config),
        summary=[(name, plain(run.get(name))) for name in BACKTEST_RUNS.reproducible() if name != "config_snapshot"],
        provenance=[(name, plain(value)) for name, value in sorted(reported.provenance.items())],
        configuration=json.dumps(config, sort_keys=True, indent=2),
    )


def _tiles(run: Mapping[str, Any], trades: pl.DataFrame, benchmark: float) -> list[dict[str, str]]:
    interval = f"95 %: {ratio(run['sharpe_ci_low'])} to {ratio(run['sharpe_ci_high'])}"
    won = statistics.win_rate(trades["pnl"].to_numpy())
    return [
        {"name": "Total return", "value": percent(run["total_return"]), "note": f"benchmark {percent(benchmark)}"},
        {"name": "CAGR", "value": percent(run["cagr"]), "note": "252 sessions a year"},
        {"name": "Max drawdown", "value": percent(run["max_drawdown"]), "note": "from a peak of equity"},
        {"name": "Sharpe ratio", "value": ratio(run["sharpe_ratio"]), "note": interval},
        {"name": "Sortino ratio", "value": ratio(run["sortino_ratio"]), "note": "downside deviation"},
        {
            "name": "Trades",
            "value": amount(run["trades"]),
            "note": f"{percent(won, 1)} won, {amount(run['total_signals'])} signals",
        },
        {"name": "Costs", "value": amount(run["costs"]), "note": f"turnover {ratio(run['turnover'], 1)} × a year"},
    ]


def _price_sections(reported: ReportedRun, trades: pl.DataFrame, count: int, timezone: str) -> list[dict[str, Any]]:
    """Charts of the most traded instruments; of those with most signals where nothing was traded."""
    setup = reported.setup
    signals = setup.signals.filter(pl.col("signal_type") != "HOLD")
    source = trades if trades.height else signals
    ranked = source.group_by("instrument_id").len().sort(["len", "instrument_id"], descending=[True, False])
    stops = setup.signals.select("signal_id", "stop_loss").unique("signal_id")
    local = [pl.col(f"{side}_ts").dt.convert_time_zone(timezone).dt.date().alias(f"{side}_date") for side in ("entry", "exit")]
    placed = trades.join(stops, on="signal_id", how="left", maintain_order="left").with_columns(*local)
    if not _uses_levels(reported.run):
        placed = placed.with_columns(stop_loss=pl.lit(None, pl.Float64))
    sections = []
    for instrument, number in ranked.head(count).iter_rows():
        own = setup.bars.filter(pl.col("instrument_id") == instrument).sort("ts_close")
        if own.is_empty():
            continue
        candles = own.group_by("session_date", maintain_order=True)
        daily = candles.agg(pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()).drop_nulls()
        factors = price_factors(setup.actions, instrument, daily["session_date"][0], daily["session_date"][-1])
        chart, left_out = series.price_chart(
            daily,
            placed.filter(pl.col("instrument_id") == instrument),
            signals.filter(pl.col("instrument_id") == instrument).select("session_date", "signal_type"),
            factors,
        )
        what = "round trip" if trades.height else "signal"
        note = f"{number} {what}{'' if number == 1 else 's'}"
        if left_out:
            note += f"; the first {left_out:,} sessions are left out"
        sections.append({"instrument": instrument, "note": note, "chart": chart, "is_adjusted": bool(factors)})
    return sections


def _uses_levels(run: Mapping[str, Any]) -> bool:
    """Whether signals' own stops counted."""
    return bool(json.loads(run["config_snapshot"]).get("orders", {}).get("signal_levels", True))


def _flow(found: GrossToNet, cash: float) -> list[dict[str, Any]]:
    """Steps from gross to net, each with where its bar begins and how long it is, as parts of the widest."""
    steps = [("Winning trades, before costs", found.won), ("Losing trades, before costs", found.lost), ("Costs", -found.costs)]
    # Rounding apart, every profit is some trade's.
    if abs(found.other) > 1e-6 * cash:
        steps.append(("Not in any trade", found.other))
    edges, level = [0.0], 0.0
    for _, change in steps:
        level += change
        edges.append(level)
    low, high = min(edges), max(edges)
    span = (high - low) or 1.0
    rows = []
    for k, (name, change) in enumerate(steps):
        left, right = sorted((edges[k], edges[k + 1]))
        rows.append(_flow_row(name, change, (left - low) / span, (right - left) / span, cash))
    left, right = sorted((0.0, level))
    rows.append(_flow_row("Net profit", level, (left - low) / span, (right - left) / span, cash))
    return rows


def _flow_row(name: str, change: float, start: float, length: float, cash: float) -> dict[str, Any]:
    return {
        "name": name,
        "change": change,
        "part": change / cash,
        "x": f"{100 * start:.2f}",
        "width": f"{max(100 * length, 0.2):.2f}",
    }


def _assumptions(config: Mapping[str, Any]) -> list[str]:
    """What a reader has to take for granted, from the configuration."""
    rules, costs = config["rules"], config["costs"]
    at_close = rules.get("fill_at", "next_open") == "close"
    share = rules.get("volume_share")
    return [
        "Decided at the close, filled at that very close." if at_close else "Decided at the close, filled at the next open.",
        "An entry takes any volume." if share is None else f"An entry takes at most {percent(share, 0)} of its bar's volume.",
        f"Slippage {ratio(rules.get('slippage_bps', 0.0), 1)} basis points a side, limits and targets apart.",
        f"A delisted share pays its last price less {percent(rules.get('delisting_haircut'), 0)}.",
        "Short positions are opened." if rules.get("allow_short") else "No short positions.",
        f"Costs: {plain(costs)}.",
        "A bar that reaches stop and target is a stop. Cash earns nothing. A year has 252 sessions, the risk-free rate is 0.",
        "Benchmark: the same cash in all instruments of the run, in equal parts, made equal each session, without dividends and "
        "costs.",
    ]
