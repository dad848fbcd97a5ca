"""Value at risk on a report: the latest forecasts, how they were judged, and returns against them.

Lives here: what the section shows. Does not live here: value at risk and its tests (`risk/`), its chart (`series`).
"""

from __future__ import annotations

from typing import Any

import polars as pl

from pipelines.backtest.statistics import session_returns
from pipelines.reports import series
from pipelines.risk.var import EVALUATED, METHODS

BREACHES_SHOWN = 12


def risk_section(equity: pl.DataFrame, initial: float, var: pl.DataFrame) -> dict[str, Any]:
    """rows, breaches and chart (None without a forecast). equity: session_date and equity, in order; var: rows of `risk_var`."""
    judged = _returns_with_forecasts(equity, initial, var)
    return {
        "rows": _var_rows(var, float(equity["equity"][-1])),
        "chart": series.var_chart(judged) if judged["var_99"].is_not_null().any() else None,
        "breaches": judged.filter(pl.col("ret") < -pl.col("var_99")).tail(BREACHES_SHOWN).reverse().to_dicts(),
    }


def _returns_with_forecasts(equity: pl.DataFrame, initial: float, var: pl.DataFrame) -> pl.DataFrame:
    """session_date, equity, ret, var_95, var_99: the historical forecasts for the session, made at the close before."""
    rows = equity.select("session_date", "equity", ret=pl.Series(session_returns(equity["equity"].to_numpy(), initial)))
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
