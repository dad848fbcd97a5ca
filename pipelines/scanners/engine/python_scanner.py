"""Scanners in Python: a function from frames to decisions, run by the build and by a live scan alike.

Lives here: `PythonScanner` and `build_rows`, which reads what the scanner asks for and lays out what it decides.
Does not live here: finding scanners of installed packages (`scanners/extensions/plugins.py`), scanners in SQL
(`dbt_project/models/scanners`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.scanners.registry import Parameter
from pipelines.storage.relations import literal, quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: Moments that `decide` gets at once: enough to be fast, few enough that the frames of a long history fit in memory.
MOMENTS_AT_ONCE = 50
_KEYS: dict[str, pl.DataType | type[pl.DataType]] = {"as_of_ts": pl.Datetime("us", "UTC"), "instrument_id": pl.String}
#: What a decision holds besides the keys: side is 1 to buy, -1 to sell and 0 for nothing to do.
_DECIDED: dict[str, pl.DataType | type[pl.DataType]] = {
    "side": pl.Int64,
    "entry_price": pl.Float64,
    "target_price": pl.Float64,
    "stop_loss": pl.Float64,
    "score": pl.Float64,
}
_KNOWN_AT = "known_at"
_WORD = re.compile(r"[a-z][a-z0-9_]*")


class PythonScannerError(ValueError):
    """A scanner in Python decided something that cannot be used; the message names it and what is wrong."""


@dataclass(frozen=True)
class Reads:
    """Columns of one relation of schema `scan` (as_of_ts and instrument_id come by themselves) and, as SQL, which rows."""

    columns: tuple[str, ...]
    where: str = ""


@dataclass(frozen=True)
class PythonScanner:
    """A scanner as a function, declared like one in SQL (docs/scanners.md).

    decide(frames, values) gets a frame per relation of `reads`, of several moments at once, and the parameters' values by name. It
    returns one row per moment and instrument that it could judge: as_of_ts, instrument_id, side (1, -1, 0), entry_price,
    target_price, stop_loss, score (0 … 1); further columns become `details`. A row may depend on rows of its own moment only, and
    where scope is `instrument` on rows of its own instrument. When a signal was known follows from the rows that `decide` was
    given of its instrument (scope `universe`: of all), whatever known_at it returns.
    """

    name: str
    version: int
    family: str
    description: str
    rule: str
    evaluates: str
    reads: Mapping[str, Reads]
    decide: Callable[[Mapping[str, pl.DataFrame], Mapping[str, float | str]], pl.DataFrame]
    parameters: tuple[Parameter, ...] = ()
    moments: tuple[str, ...] = ("close",)
    live_moments: tuple[str, ...] = ()
    universe: str = "all"
    min_coverage_pct: float = 50
    timeframe: str = "1d"
    details: tuple[str, ...] = field(default=())
    holds_beyond: str = ""
    scope: str = "instrument"

    def declaration(self) -> dict[str, Any]:
        """`meta.scanner` as a yml would hold it."""
        more = {"holds_beyond": self.holds_beyond} if self.holds_beyond else {}
        return {
            **more,
            "version": self.version,
            "family": self.family,
            "evaluates": self.evaluates,
            "moments": list(self.moments),
            "live_moments": list(self.live_moments),
            "universe": self.universe,
            "min_coverage_pct": self.min_coverage_pct,
            "scope": self.scope,
            "rule": self.rule,
            "parameters": {p.name: _parameter(p) for p in self.parameters},
        }

    def model_text(self) -> str:
        """The dbt model that runs it in a build."""
        refs = "\n".join(f'    dbt.ref("{name}")' for name in sorted({"universe", "params", *self.reads}))
        return _MODEL.format(name=self.name, refs=refs)


def build_rows(scanner: PythonScanner, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """What the scanner decides at every moment of `scan.moments`, with the columns that every scanner gives back.

    connection: to a database with schema `scan`. Raises PythonScannerError when a decision lacks a column or is ambiguous.
    """
    values = {
        name: value if choice is None else choice
        for name, value, choice in connection.execute(
            "select name, value, choice from scan.params where scanner_name = ? order by name", [scanner.name]
        ).fetchall()
    }
    mine = f"(scanners is null or list_contains(scanners, {literal(scanner.name)}))"
    moments = [
        row[0] for row in connection.execute(f"select distinct as_of_ts from scan.moments where {mine} order by 1").fetchall()
    ]
    decided = [_decide(scanner, frames, values) for frames in _frames(scanner, connection, mine, moments)]
    rows = pl.concat(decided) if decided else _checked(scanner, None).with_columns(known_at=pl.col("as_of_ts"))
    connection.register("decided", rows.to_arrow())
    try:
        # Shares that can only be delivered, not turned over within a day, are no business of a scanner that looks within the day.
        allowed = " and is_intraday_allowed" if scanner.evaluates == "intraday" else ""
        return connection.sql(_ROWS.format(timeframe=literal(scanner.timeframe), mine=mine, allowed=allowed)).to_arrow_table()
    finally:
        connection.unregister("decided")


def _frames(
    scanner: PythonScanner, connection: duckdb.DuckDBPyConnection, mine: str, moments: list[datetime]
) -> Iterator[dict[str, pl.DataFrame]]:
    for start in range(0, len(moments), MOMENTS_AT_ONCE):
        first, last = moments[start], moments[start : start + MOMENTS_AT_ONCE][-1]
        frames = {}
        for relation, reads in scanner.reads.items():
            known = [_KNOWN_AT] if _is_dated(connection, relation) else []
            columns = ", ".join(quoted(name) for name in dict.fromkeys([*_KEYS, *reads.columns, *known]))
            wanted = f"{mine} and as_of_ts between ? and ?" + (f" and ({reads.where})" if reads.where else "")
            # Sorted, so that what is decided cannot depend on the order in which a database happens to give rows.
            query = f"select {columns} from scan.{relation} where {wanted} order by all"
            frames[relation] = connection.sql(query, params=[first, last]).pl()
        yield frames


def _is_dated(connection: duckdb.DuckDBPyConnection, relation: str) -> bool:
    return _KNOWN_AT in connection.sql(f"from scan.{relation} limit 0").columns


def _decide(scanner: PythonScanner, frames: Mapping[str, pl.DataFrame], values: Mapping[str, float | str]) -> pl.DataFrame:
    """What the scanner decides, with the greatest known_at of its rows. frames: what it asked for, and known_at besides."""
    asked = {name: frame.select(list(dict.fromkeys([*_KEYS, *scanner.reads[name].columns]))) for name, frame in frames.items()}
    key = list(_KEYS) if scanner.scope == "instrument" else ["as_of_ts"]
    # In a build the database names UTC in another way, and keys of two types do not join.
    types = {**_KEYS, _KNOWN_AT: _KEYS["as_of_ts"]}
    dated = [
        frame.select(pl.col(name).cast(types[name]) for name in (*key, _KNOWN_AT))
        for frame in frames.values()
        if _KNOWN_AT in frame.columns
    ]
    known = pl.concat(dated).group_by(key).agg(pl.col(_KNOWN_AT).max()) if dated else None
    rows = _checked(scanner, scanner.decide(asked, values))
    if known is None:
        return rows.with_columns(known_at=pl.col("as_of_ts"))
    return rows.join(known, on=key, how="left", maintain_order="left")


def _checked(scanner: PythonScanner, rows: pl.DataFrame | None) -> pl.DataFrame:
    """Decisions with the columns of `_DECIDED` and details as JSON; `None` stands for none."""
    wanted = {**_KEYS, **_DECIDED}
    if rows is None:
        return pl.DataFrame(schema={**wanted, "details": pl.String})
    if not isinstance(rows, pl.DataFrame):
        raise PythonScannerError(f"scanner {scanner.name}: decide returned a {type(rows).__name__}, not a polars DataFrame")
    missing = [name for name in (*wanted, *scanner.details) if name not in rows.columns]
    if missing:
        raise PythonScannerError(f"scanner {scanner.name}: the decisions lack {', '.join(missing)}")
    try:
        typed = rows.with_columns(pl.col(name).cast(kind) for name, kind in wanted.items())
    except pl.exceptions.PolarsError as error:
        raise PythonScannerError(f"scanner {scanner.name}: {error}") from error
    if typed.select("as_of_ts", "instrument_id").is_duplicated().any():
        raise PythonScannerError(f"scanner {scanner.name}: more than one decision about an instrument at one moment")
    if typed.select(pl.any_horizontal(pl.col("side", "entry_price").is_null())).to_series().any():
        raise PythonScannerError(f"scanner {scanner.name}: side and entry_price may not be missing")
    as_json = pl.struct(scanner.details).struct.json_encode() if scanner.details else pl.lit("{}")
    return typed.with_columns(details=as_json).select(*wanted, "details")


def _parameter(parameter: Parameter) -> dict[str, Any]:
    if parameter.choices:
        return {"default": parameter.default, "choices": list(parameter.choices), "meaning": parameter.meaning}
    bounds = [parameter.low, parameter.high]
    return {"default": parameter.default, "range": bounds, "unit": parameter.unit, "meaning": parameter.meaning}


_MODEL = '''"""Made for the scanner {name} of an installed package; edit that."""


def model(dbt, session):
    dbt.config(materialized="table")
{refs}

    from pipelines.scanners.extensions.plugins import python_scanner
    from pipelines.scanners.engine.python_scanner import build_rows

    return build_rows(python_scanner("{name}"), session.cursor())
'''

#: The macro signal_rows once more, for rows that no SQL made.
_ROWS = """
select
    universe.exchange, universe.instrument_id, universe.symbol, universe.session_date, universe.as_of_ts as ts,
    {timeframe} as timeframe,
    case side when 1 then 'BUY' when -1 then 'SELL' else 'HOLD' end as signal_type,
    entry_price,
    case when side in (1, -1) then round(target_price, 4) end as target_price,
    case when side in (1, -1) then round(stop_loss, 4) end as stop_loss,
    case when side in (1, -1) then round(least(greatest(coalesce(score, 0.0), 0.0), 1.0), 6) else 0.0::double end
        as confidence_score,
    case when side in (1, -1) then details else '{{}}' end as details,
    case when side in (1, -1) then greatest(decided.known_at, universe.as_of_ts) else universe.as_of_ts end as known_at
from decided
inner join scan.universe as universe
    on decided.as_of_ts = universe.as_of_ts and decided.instrument_id = universe.instrument_id and {mine}{allowed}
order by ts, instrument_id
"""
