"""The source `lean`: the data folder of QuantConnect's Lean engine, equities.

Lives here: which of its files are taken, and its daily, minute, second and tick trades as bars. Format:
https://github.com/QuantConnect/Lean/tree/master/Data/equity (readme).
Does not live here: factor and map files (`lean_reference.py`), the aggregation rule (`market/aggregation.py`).

Prices are written times 10,000, as traded; volumes are shares. Intraday times are milliseconds since midnight of the exchange's
zone, a bar is labelled by its start. Seconds and ticks become one-minute bars; ticks that Lean marks suspicious are left out, as
its own bars do. Minutes outside regular hours are in the files and are passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from pipelines.market.aggregation import bars_to_minutes, ticks_to_minutes
from pipelines.sources.lean_reference import corporate_actions, symbol_history
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError, conform
from pipelines.sources.text import fields, line_read, lines, numbers, read_text, refuse_cut_off, unscaled, with_problems
from pipelines.sources.timestamps import to_utc

_PRICE_SCALE: Final = 10_000
_ZONES: Final = {"usa": "America/New_York", "india": "Asia/Kolkata"}
_LAYOUTS: Final = (
    "daily/<ticker>.zip, minute|second|tick/<ticker>/<YYYYMMDD>_trade.zip, factor_files/<ticker>.csv, map_files/<ticker>.csv"
)
_PATH: Final = re.compile(
    r"(?:^|/)(?:(?P<market>[a-z]+)/)?"
    r"(?:(?P<daily>daily|hour)/(?P<daily_ticker>[^/]+)\.zip"
    r"|(?P<intraday>minute|second|tick)/(?P<ticker>[^/]+)/(?P<day>\d{8})_(?P<what>trade|quote|openinterest)\.zip"
    r"|(?P<reference>factor_files|map_files)/(?P<reference_ticker>[^/]+)\.csv)$"
)
#: Lean writes prices of these without the scale, or quotes only.
_OTHER_ASSETS: Final = re.compile(r"(?:^|/)(crypto|cryptofuture|forex|cfd|future|futureoption|option|indexoption|index)/")
#: Of files of one share and day the first is read. Lean leaves some prints out of its minutes, by rules that it does not state.
_PRECEDENCE: Final = ("minute", "second", "tick")
_BAR: Final[list[str | None]] = ["moment", "open", "high", "low", "close", "volume"]
_TICK: Final[list[str | None]] = ["moment", "price", "volume", None, None, "suspicious"]
_SUSPICION_UNREAD: Final = pl.when(~pl.col("suspicious").is_in(["0", "1"])).then(
    pl.format("suspicious: '{}' is neither 0 nor 1", pl.col("suspicious"))
)


@dataclass(frozen=True)
class _LeanPath:
    """What a path in Lean's data folder says: `kind` is the folder, `what` trade or quote, `day` only of intraday files."""

    market: str | None
    kind: str
    ticker: str
    what: str = "trade"
    day: date | None = None


class LeanSource:
    """Equity trades, factor files and map files of a Lean data folder."""

    name = "lean"
    description = "QuantConnect Lean data folder: equity trades (daily, minute, second, tick), factor files, map files"
    whole_market = False
    priority = 20
    publication_lag = timedelta(0)
    #: Lean's US equities start here; map files of companies listed before begin on this day.
    histories_begin = date(1998, 1, 2)

    def claims(self, name: str) -> bool:
        """Trades and reference files; quotes and hour bars of the same folder are left aside."""
        path = _read_path(name)
        if path is None or _OTHER_ASSETS.search(name.lower()):
            return False
        return path.what == "trade" and path.kind != "hour"

    def set_aside(self, names: Sequence[str]) -> Mapping[str, str]:
        """Second and tick files of a share's day of which there is a coarser file: Lean's own minutes are its word on them."""
        by_day: dict[tuple[str | None, str, date], dict[str, str]] = {}
        for name in names:
            path = _read_path(name)
            if path is not None and path.day is not None and path.what == "trade":
                by_day.setdefault((path.market, path.ticker, path.day), {})[path.kind] = name
        aside = {}
        for files in by_day.values():
            first, *others = (kind for kind in _PRECEDENCE if kind in files)
            for kind in others:
                aside[files[kind]] = (
                    f"set aside, {files[first]} of the same delivery has its minutes; minute files go before second files, "
                    "these before ticks"
                )
        return aside

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """`bars_daily`, `bars_1m`, `corporate_actions` or `symbol_history`, by the file's place in Lean's folders.

        Raises SourceError for another layout, quotes, hour bars, a market folder that is not of the exchange's zone, damaged
        files.
        """
        path = _expected_path(raw, options)
        text = read_text(raw)
        symbol = (options.symbol or path.ticker).upper()
        if path.kind == "factor_files":
            return [corporate_actions(raw, text, symbol, options.exchange)]
        if path.kind == "map_files":
            return [symbol_history(raw, text, path.ticker.upper())]
        names = _TICK if path.kind == "tick" else _BAR
        rows = lines(text)
        refuse_cut_off(raw, text, rows, width=len(names), separator=",")
        rows = _numbers(raw, fields(rows, names, ","), names).with_columns(symbol=pl.lit(symbol))
        if path.kind == "daily":
            return [conform("bars_daily", _daily(rows), price_basis="as_traded")]
        zone = options.timezone or _ZONES.get(path.market or "", "")
        if path.day is None or not zone:
            raise SourceError(f"{raw.name}: the time zone of the exchange is not known; set it with --timezone")
        if path.kind == "tick":
            rows = with_problems(rows, [_SUSPICION_UNREAD])
        return [conform("bars_1m", _minutes(_instants(rows, path.day, zone), path.kind), price_basis="as_traded")]


def _read_path(name: str) -> _LeanPath | None:
    found = _PATH.search(name.lower())
    if found is None:
        return None
    part = found.groupdict()
    if part["intraday"]:
        try:
            day = date.fromisoformat(part["day"])
        except ValueError:
            return None
        return _LeanPath(part["market"], part["intraday"], part["ticker"], part["what"], day)
    if part["reference"]:
        return _LeanPath(part["market"], part["reference"], part["reference_ticker"])
    return _LeanPath(part["market"], part["daily"], part["daily_ticker"])


def _expected_path(raw: RawFile, options: ParseOptions) -> _LeanPath:
    path = _read_path(raw.name)
    other = _OTHER_ASSETS.search(raw.name.lower())
    if other is not None:
        raise SourceError(f"{raw.name}: Lean's {other[1]} data is not taken, only equities")
    if path is None:
        raise SourceError(f"{raw.name}: no file of a Lean equity folder; known are {_LAYOUTS}")
    if path.what != "trade":
        raise SourceError(f"{raw.name}: holds {path.what}s, not trades; ingest the _trade.zip beside it")
    if path.kind == "hour":
        raise SourceError(f"{raw.name}: hour bars are not taken; ingest the daily or minute file of {path.ticker}")
    zone = _ZONES.get(path.market or "")
    if zone and options.timezone and options.timezone != zone:
        raise SourceError(
            f"{raw.name}: Lean's market {path.market} keeps time in {zone}, but {options.exchange} in {options.timezone}; "
            "choose the right --exchange"
        )
    return path


def _numbers(raw: RawFile, rows: pl.DataFrame, names: list[str | None]) -> pl.DataFrame:
    """Prices unscaled, volumes read. A file whose lines all have another shape is refused as a whole."""
    if rows["parse_problem"].is_not_null().all():
        raise SourceError(
            f"{raw.name}, row {rows['row_number'][0]}: {rows['parse_problem'][0]}; this is no Lean trade file of its folder"
        )
    prices = [name for name in ("open", "high", "low", "close", "price") if name in names]
    values, problems = numbers([*prices, "volume"], required=[*prices, "volume"])
    return unscaled(with_problems(rows, problems).with_columns(values), prices, _PRICE_SCALE)


def _daily(rows: pl.DataFrame) -> pl.DataFrame:
    session = pl.col("moment").str.extract(r"^(\d{8}) 00:00$").str.to_date("%Y%m%d", strict=False)
    rows = rows.with_columns(session_date=session)
    return with_problems(rows, [_moment_problem(pl.col("session_date").is_null(), "is not YYYYMMDD 00:00")])


def _instants(rows: pl.DataFrame, day: date, zone: str) -> pl.DataFrame:
    """`ts` in UTC from milliseconds since local midnight (fractions occur in ticks and are cut to microseconds)."""
    millis = pl.col("moment").cast(pl.Float64, strict=False)
    within = millis.is_between(0, 86_400_000, closed="left")
    wall = pl.lit(day).cast(pl.Datetime("us")) + pl.duration(microseconds=(millis * 1_000).floor().cast(pl.Int64))
    rows = rows.with_columns(ts=pl.when(within).then(to_utc(wall, pl.lit(None, dtype=pl.Int64), zone)))
    return with_problems(rows, [_moment_problem(pl.col("ts").is_null(), f"is no time of {day.isoformat()} in {zone}")])


def _moment_problem(unread: pl.Expr, why: str) -> pl.Expr:
    return pl.when(unread & line_read()).then(pl.format("date: '{}' {}", pl.col("moment"), pl.lit(why)))


def _minutes(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Minute rows as they are; seconds and ticks aggregated, their unreadable rows kept apart behind the bars."""
    if kind == "minute":
        whole = pl.col("ts").dt.truncate("1m") == pl.col("ts")
        rows = with_problems(rows, [_moment_problem(pl.col("ts").is_not_null() & ~whole, "is not a whole minute")])
        return rows.with_columns(ts=pl.when(whole).then(pl.col("ts")))
    unread = rows.filter(pl.col("parse_problem").is_not_null())
    read = rows.filter(pl.col("parse_problem").is_null())
    if kind == "tick":
        bars = ticks_to_minutes(read.filter(pl.col("suspicious") != "1"), first=["row_number"])
        unread = unread.with_columns(ts=None)
    else:
        bars = bars_to_minutes(read, first=["row_number"])
    return pl.concat([bars, unread], how="diagonal_relaxed")
