"""The risk report: one HTML file that needs nothing but itself.

Lives here: what the page shows and how figures are written out. Does not live here: the charts (`charts`), the page's markup
(`templates/risk_report.html.j2`), or any calculation of risk (`risk/`) or performance (`backtest/`).

The same frames give the same bytes: nothing observed (durations, clock, release of publication) is on the page. It refers to
nothing outside itself, and its content security policy forbids the browser to load anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import polars as pl

from pipelines.market.tables.research import BACKTEST_RUNS
from pipelines.reports import charts
from pipelines.risk.var import EVALUATED, METHODS

TRADES_SHOWN = 200
BREACHES_SHOWN = 12
_MINUS, _NONE = "−", "–"


def build_risk_report(
    *,
    run: Mapping[str, Any],
    trades: pl.DataFrame,
    equity: pl.DataFrame,
    var: pl.DataFrame,
    bars: pl.DataFrame,
    signals: pl.DataFrame,
    provenance: Mapping[str, Any],
    timezone: str = "UTC",
    currency: str = "",
    instruments: int = 2,
) -> str:
    """The report of one backtest run, as HTML.

    run: a row of `backtest_runs`. trades, equity, var: the rows of `backtest_trades`, `backtest_equity` and `risk_var` that belong
    to it. bars: instrument_id, session_date, open, high, low, close as traded (bars within a session are drawn as one candle).
    signals: instrument_id, session_date, signal_type. provenance: what the run stands on (table versions, fingerprints, code
    version); nested mappings are written as JSON. timezone: IANA name of the exchange's zone, for the times of trades. currency:
    its code, for amounts. instruments: how many of the most traded ones get a price chart.

    Raises ValueError if `equity` is empty: a run without a session cannot be reported.
    """
    from bokeh.resources import Resources
    from jinja2 import Environment, PackageLoader, StrictUndefined

    if equity.is_empty():
        raise ValueError(f"report of run {run.get('run_id')}: backtest_equity has no rows for it; run the backtest first.")
    equity, trades = equity.sort("session_date"), trades.sort("trade_number")
    config = json.loads(run["config_snapshot"])
    initial = float(config["rules"]["initial_cash"])
    judged = _returns_with_forecasts(equity, initial, var)
    environment = Environment(loader=PackageLoader("pipelines.reports"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "percent": percent,
        "amount": amount,
        "ratio": ratio,
        "p_value": p_value,
        "moment": lambda value: moment(value, timezone),
    }
    return environment.get_template("risk_report.html.j2").render(
        run=run,
        currency=currency,
        timezone=timezone,
        tiles=_tiles(run, trades),
        summary=[(name, _plain(run.get(name))) for name in BACKTEST_RUNS.reproducible() if name != "config_snapshot"],
        prices=_price_sections(trades, bars, signals, instruments, timezone),
        equity_chart=charts.equity_chart(equity, initial),
        var_chart=charts.var_chart(judged) if judged["var_99"].is_not_null().any() else None,
        var_rows=_var_rows(var, float(equity["equity"][-1])),
        breaches=judged.filter(pl.col("ret") < -pl.col("var_99")).tail(BREACHES_SHOWN).reverse().to_dicts(),
        trades=trades.tail(TRADES_SHOWN).to_dicts(),
        all_trades=trades.height,
        provenance=[(name, _plain(value)) for name, value in sorted(provenance.items())],
        configuration=json.dumps(config, sort_keys=True, indent=2),
        script=Resources(mode="inline", components=["bokeh"]).js_raw[0],
    )


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as a percentage with a true minus sign; a dash for None or NaN."""
    return _NONE if _missing(value) else f"{100 * value:.{digits}f} %".replace("-", _MINUS)  # type: ignore[operator]


def amount(value: float | None, digits: int = 0) -> str:
    """A number with thousands separators; a dash for None or NaN."""
    return _NONE if _missing(value) else f"{value:,.{digits}f}".replace("-", _MINUS)


def ratio(value: float | None, digits: int = 2) -> str:
    """A plain number; a dash for None or NaN."""
    return _NONE if _missing(value) else f"{value:.{digits}f}".replace("-", _MINUS)


def p_value(value: float | None) -> str:
    """A p-value to three digits; a dash for None or NaN."""
    return "< 0.001" if not _missing(value) and value < 0.001 else ratio(value, 3)  # type: ignore[operator]


def moment(value: datetime, timezone: str) -> str:
    """A UTC time in the given zone, to the minute."""
    from zoneinfo import ZoneInfo

    return value.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M")


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def _plain(value: Any) -> str:
    if value is None:
        return _NONE
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:,.2f}"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, sort_keys=True, default=str)
    return value.isoformat() if isinstance(value, date) else str(value)


def _tiles(run: Mapping[str, Any], trades: pl.DataFrame) -> list[dict[str, str]]:
    interval = f"95 %: {ratio(run['sharpe_ci_low'])} to {ratio(run['sharpe_ci_high'])}"
    won = float((trades["pnl"] > 0).mean() or 0.0) if trades.height else None  # type: ignore[arg-type]
    return [
        {"name": "Total return", "value": percent(run["total_return"]), "note": f"CAGR {percent(run['cagr'])}"},
        {"name": "Max drawdown", "value": percent(run["max_drawdown"]), "note": "from a peak of equity"},
        {"name": "Sharpe ratio", "value": ratio(run["sharpe_ratio"]), "note": interval},
        {"name": "Sortino ratio", "value": ratio(run["sortino_ratio"]), "note": "downside deviation"},
        {"name": "Deflated Sharpe", "value": percent(run["deflated_sharpe"], 1), "note": _among(run.get("trials"))},
        {
            "name": "Trades",
            "value": amount(run["trades"]),
            "note": f"{percent(won, 1)} won, {amount(run['total_signals'])} signals",
        },
        {"name": "Costs", "value": amount(run["costs"]), "note": f"turnover {ratio(run['turnover'], 1)} × a year"},
    ]


def _among(trials: int | None) -> str:
    return "how many were tried is not known" if trials is None else f"probability of more than luck among {trials} tried"


def _price_sections(
    trades: pl.DataFrame, bars: pl.DataFrame, signals: pl.DataFrame, count: int, timezone: str
) -> list[dict[str, str]]:
    """Charts of the most traded instruments; of those with most signals where nothing was traded."""
    source = trades if trades.height else signals.filter(pl.col("signal_type") != "HOLD")
    ranked = source.group_by("instrument_id").len().sort(["len", "instrument_id"], descending=[True, False])
    sections = []
    for instrument, number in ranked.head(count).iter_rows():
        own = bars.filter(pl.col("instrument_id") == instrument)
        if own.is_empty():
            continue
        order = "ts_close" if "ts_close" in own.columns else "session_date"
        candles = own.sort(order).group_by("session_date", maintain_order=True)
        daily = candles.agg(pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last())
        local = [pl.col(f"{side}_ts").dt.convert_time_zone(timezone).dt.date().alias(f"{side}_date") for side in ("entry", "exit")]
        chart = charts.price_chart(
            daily.drop_nulls(),
            signals.filter(pl.col("instrument_id") == instrument).select("session_date", "signal_type"),
            trades.filter(pl.col("instrument_id") == instrument).select(*local, "entry_price", "exit_price", "pnl"),
        )
        what = "round trip" if trades.height else "signal"
        sections.append({"instrument": instrument, "note": f"{number} {what}{'' if number == 1 else 's'}", "chart": chart})
    return sections


def _returns_with_forecasts(equity: pl.DataFrame, initial: float, var: pl.DataFrame) -> pl.DataFrame:
    """session_date, equity, ret, var_95, var_99: the historical forecasts for the session, made at the close before."""
    rows = equity.select("session_date", "equity", ret=pl.col("equity") / pl.col("equity").shift(1, fill_value=initial) - 1)
    for level in (95, 99):
        column = var.filter((pl.col("method") == "historical") & ((pl.col("confidence") - level / 100).abs() < 1e-9))
        rows = rows.join(column.select("session_date", pl.col("var").alias(f"var_{level}")), on="session_date", how="left")
    return rows.sort("session_date")


def _var_rows(var: pl.DataFrame, equity: float) -> list[dict[str, Any]]:
    """The latest row of each method and confidence, with the breaches to expect and what the tests say at 5 %."""
    if var.is_empty():
        return []
    judged = (
        var.group_by("method", "confidence").len().with_columns(pl.min_horizontal(pl.col("len") - 1, EVALUATED).alias("judged"))
    )
    last = var.filter(pl.col("session_date") == pl.col("session_date").max()).join(judged, on=["method", "confidence"])
    rows = sorted(last.to_dicts(), key=lambda row: (row["confidence"], METHODS.index(row["method"])))
    for row in rows:
        row["loss"] = row["var"] * equity
        row["expected"] = (1 - row["confidence"]) * row["judged"]
        row["method"] = row["method"].replace("_", "–").title()
        p_values = [p for p in (row["kupiec_p"], row["christoffersen_p"]) if p is not None]
        row["test_result"] = "not yet judged" if not p_values else ("rejected" if min(p_values) < 0.05 else "not rejected")
    return rows
