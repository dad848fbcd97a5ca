"""Proof that a scan sees nothing of the future: with the future cut off or spoiled its rows stay the same.

Lives here: inputs without what came after a moment (`truncated`), inputs in which all of it is false (`spoiled`), and scans
on them compared (`look_ahead`).
Does not live here: when this is checked (`orchestration/checks/scanners.py`, tests); scanning (`scanners/engine/runner.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import date, datetime, timedelta

import polars as pl
import polars.selectors as cs

from pipelines.scanners.engine.runner import ScanEngine, ScanInputs
from pipelines.scanners.registry import CompiledScanners

#: Columns of a signal that may differ between two runs that agree.
_OBSERVED = ("known_at", "release_id")
DIFFERENCES: dict[str, pl.DataType | type[pl.DataType]] = {
    "inputs": pl.String,
    "scanner_name": pl.String,
    "ts": pl.Datetime("us", "UTC"),
    "instrument_id": pl.String,
}
_MINUTE = timedelta(minutes=1)
#: Numbers that say where a row lies, not what it holds.
_COUNTS = ("session_year", "row_number", "lot_size")


def look_ahead(
    compiled: CompiledScanners,
    inputs: ScanInputs,
    moment: datetime,
    scanners: Sequence[str],
    parameters: Mapping[str, Mapping[str, object]] | None = None,
) -> pl.DataFrame:
    """Rows that depend on what came after `moment`; none is what is hoped for. Columns of `DIFFERENCES`.

    Each scanner runs on the inputs as they are, on the inputs cut off at the moment, and on inputs whose future is false.
    """

    def scan(given: ScanInputs) -> pl.DataFrame:
        with ScanEngine(compiled, given) as engine:
            return engine.run(moment, scanners, parameters).signals

    whole = scan(inputs)
    found = [
        different(whole, scan(future(inputs, moment))).select(pl.lit(name).alias("inputs"), *list(DIFFERENCES)[1:])
        for name, future in (("truncated", truncated), ("spoiled", spoiled))
    ]
    return pl.concat(found)


def different(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Signals that only one of two runs has, or has otherwise; known_at and release_id may differ."""
    names = [name for name in left.columns if name not in _OBSERVED]
    return pl.concat(
        [
            left.select(names).join(right.select(names), on=names, how="anti", nulls_equal=True),
            right.select(names).join(left.select(names), on=names, how="anti", nulls_equal=True),
        ]
    ).sort(names)


def truncated(inputs: ScanInputs, moment: datetime) -> ScanInputs:
    """Only what had ended by `moment`. The calendar stays: it is known ahead."""
    return replace(inputs, **{name: frame.filter(~later) for name, (frame, later) in _future(inputs, moment).items()})


def spoiled(inputs: ScanInputs, moment: datetime) -> ScanInputs:
    """All numbers that came after `moment` made false: each trebled and one more, so that orders and ratios change as well."""
    return replace(inputs, **{name: falsified(frame, later) for name, (frame, later) in _future(inputs, moment).items()})


def has_future(inputs: ScanInputs, moment: datetime) -> bool:
    """Whether any input has rows that came after `moment`."""
    return bool(_future(inputs, moment))


def _future(inputs: ScanInputs, moment: datetime) -> dict[str, tuple[pl.DataFrame, pl.Expr]]:
    """Each table that has later rows, with the condition that tells them."""
    session = inputs.sessions.filter(pl.col("opens_at") <= moment).select(pl.col("session_date").max()).item()
    closed = inputs.sessions.filter(pl.col("closes_at") <= moment).select(pl.col("session_date").max()).item() or date.min
    day = pl.col("session_date")
    later = {
        "instruments": pl.col("valid_from") > session,
        "bars_daily": day > closed,
        "bars_1m": pl.col("ts") + _MINUTE > moment,
        "corporate_actions": pl.col("ex_date") > session,
        "indicators_daily": day > closed,
        # A profile is made the night before; a curve of the moment's own session of its minutes so far.
        "intraday_profiles": day > session,
        "intraday_curves": day >= session,
    }
    tables = {entry.name: getattr(inputs, entry.name) for entry in fields(inputs)}
    return {
        name: (tables[name], condition)
        for name, condition in later.items()
        if tables[name].width and tables[name].select(condition.any()).item()
    }


def falsified(frame: pl.DataFrame, later: pl.Expr) -> pl.DataFrame:
    """All numbers of the rows that lie later made false."""
    false = {name: pl.col(name) * 3 + 1 for name in frame.select(cs.numeric()).columns if name not in _COUNTS}
    false |= {
        name: pl.col(name).list.eval(pl.element() * 3 + 1)
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.List) and kind.inner.is_numeric()
    }
    return frame.with_columns(
        pl.when(later).then(expression.cast(frame.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, expression in false.items()
    )
