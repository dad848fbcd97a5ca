"""A share of two months with signals, as rows of lake tables, for tests of what nightly research stores.

Lives here: the rows. Does not live here: writing them, or any expectation.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame

MIC = "XNYS"
SESSIONS = calendar(MIC).between(date(2024, 1, 2), date(2024, 2, 29))


def filled(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of a table, with some value of its type where none is told and one is needed."""
    schema = dict(empty_frame(TABLES[table]).schema)
    some: dict[Any, Any] = {pl.String: "x", pl.Int64: 1, pl.Float64: 1.0}
    told = rows.with_columns(exchange=pl.lit(MIC), session_year=2024)
    lacking = [c for c in TABLES[table].columns if c.name not in told.columns]
    made = told.with_columns(
        pl.lit(None if c.nullable else some.get(type(schema[c.name]), SESSIONS[0].opens_at)).alias(c.name) for c in lacking
    )
    return made.select(list(schema)).cast(schema)  # type: ignore[arg-type]


def bars() -> pl.DataFrame:
    prices = [100.0 + (7 * n) % 11 for n in range(len(SESSIONS))]
    return filled(
        "bars_daily",
        pl.DataFrame(
            {
                "instrument_id": f"{MIC}:A",
                "session_date": [s.session_date for s in SESSIONS],
                **{
                    name: [price * by for price in prices]
                    for name, by in (("open", 1), ("high", 1.02), ("low", 0.98), ("close", 1))
                },
                "volume": 10**9,
            }
        ),
    )


def signals() -> pl.DataFrame:
    days = SESSIONS[:-5:6]
    rows = {
        "signal_id": [f"s{n}" for n in range(len(days))],
        "session_date": [s.session_date for s in days],
        "ts": [s.closes_at for s in days],
        "known_at": [s.closes_at for s in days],
        "signal_type": ["BUY", "SELL"] * (len(days) // 2) + ["BUY"] * (len(days) % 2),
    }
    return filled("scanner_signals", pl.DataFrame(rows).with_columns(instrument_id=pl.lit(f"{MIC}:A"), scanner_name=pl.lit("s")))
