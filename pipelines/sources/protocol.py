"""What a source is: the contract between one vendor format and the rest of the pipeline.

Lives here: the raw file a source receives, the options it obeys, the tables it hands back and their columns, its one error.
Does not live here: any format (one module each beside this one), fetching, the lake, the gate. A source reads bytes and reports
what they say; whether that is plausible is for `quality/`, and which rows win is for `storage/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import polars as pl

from pipelines.sources.limits import Limits
from pipelines.sources.names import zone_fault

_ROW: Final[dict[str, pl.DataType]] = {"row_number": pl.Int64(), "symbol": pl.String()}
_PRICES: Final[dict[str, pl.DataType]] = {
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Float64(),
}
_EVIDENCE: Final[dict[str, pl.DataType]] = {"raw_text": pl.String(), "parse_problem": pl.String()}
_DAILY: Final[dict[str, pl.DataType]] = {
    **_ROW,
    "session_date": pl.Date(),
    **_PRICES,
    "series": pl.String(),
    "turnover": pl.Float64(),
    "trades": pl.Float64(),
    "prev_close": pl.Float64(),
    "delivery_qty": pl.Float64(),
    "isin": pl.String(),
    **_EVIDENCE,
}

#: Columns of every frame a source may return, in order. Prices are as traded in the instrument's currency, `ts` is the START of
#: a bar in UTC, `row_number` the 1-based line of the raw file (for aggregated ticks: of the first tick of the minute). A field
#: that could not be read is null and named in `parse_problem`; the line itself is then kept in `raw_text`. Both are null on rows
#: that were read whole. `isin` (ISO 6166) ties a row to its instrument through renames; it is null where the file has none.
#: `successor` is the ticker of the company that an action leads to. A row of `symbol_history` names its instrument by `permanent`,
#: the name it is filed under for ever, or by `renamed_from`, the ticker it had on the day before `valid_from`. With neither,
#: `new_instrument` (an instrument_id without its MIC) takes the ticker over from whoever had it before `valid_from`.
FRAME_SCHEMAS: Final[Mapping[str, Mapping[str, pl.DataType]]] = {
    "bars_daily": _DAILY,
    "bars_other_series": _DAILY,
    "bars_1m": {**_ROW, "ts": pl.Datetime("us", "UTC"), **_PRICES, **_EVIDENCE},
    "corporate_actions": {
        "row_number": pl.Int64(),
        "symbol": pl.String(),
        "ex_date": pl.Date(),
        "action": pl.String(),
        "ratio": pl.Float64(),
        "amount": pl.Float64(),
        "announced": pl.Date(),
        "successor": pl.String(),
        **_EVIDENCE,
    },
    "symbol_history": {
        "row_number": pl.Int64(),
        "permanent": pl.String(),
        "renamed_from": pl.String(),
        "new_instrument": pl.String(),
        "symbol": pl.String(),
        "valid_from": pl.Date(),
        "valid_to": pl.Date(),
    },
}


class SourceError(ValueError):
    """A whole file cannot be used: the message says which file, which row and column, and what to do about it."""


@dataclass(frozen=True)
class RawFile:
    """One file exactly as the vendor sent it.

    `path` is a local readable copy (its name may be a hash); `name` the original name with the parent folders that carry meaning
    ("minute/ibm/20131007_trade.zip"), always with forward slashes; `content_hash` the SHA-256 of the bytes in hex. `limits` are
    what reading it may take; `calendars` the home's folder of calendars, None for those that ship.
    """

    path: Path
    name: str
    content_hash: str
    limits: Limits = field(default_factory=Limits)
    calendars: Path | None = None


@dataclass(frozen=True)
class ParseOptions:
    """What a file does not say about itself.

    `exchange` is a MIC. `timezone` is the IANA zone of times written without one; callers set it to the exchange's, and
    `timezone_stated` where a person named it: what a file's own hours suggest does not count against that. `symbol`
    names the instrument of a one-symbol file. `session` is the date of a file whose rows carry only times. `extra` holds a
    source's own options as text; each source documents the ones it knows and refuses others.
    """

    exchange: str
    timezone: str | None = None
    symbol: str | None = None
    session: date | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    timezone_stated: bool = False

    def __post_init__(self) -> None:
        if self.timezone is not None and (fault := zone_fault(self.timezone)):
            raise SourceError(f"time zone {fault}")

    def canonical_json(self) -> str:
        """The options as JSON text that is equal for equal options: for hashing a delivery's identity."""
        content: dict[str, object] = {
            "exchange": self.exchange,
            "timezone": self.timezone,
            "symbol": self.symbol,
            "session": self.session.isoformat() if self.session else None,
            "extra": dict(self.extra),
        }
        if self.timezone_stated:
            content["timezone_stated"] = True
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True)
class ParsedTable:
    """Rows for one lake table: `frame` has exactly the columns of `FRAME_SCHEMAS[table]`, in the file's order.

    `notes` say what a user should know of the file's rows as a whole; they are shown as warnings and kept with the delivery.
    `price_basis` is one of `names.PRICE_BASES`, None where nothing tells.
    """

    table: str
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()
    price_basis: str | None = None


@runtime_checkable
class Source(Protocol):
    """One vendor format.

    `priority` orders sources that disagree about a bar: the greater number is believed. `whole_market` promises that a daily
    file holds every instrument of the exchange, so that missing ones are an error. `publication_lag` is how long after the
    session's close a daily bar of this source is out; it sets when the bar counts as known.
    """

    name: str
    description: str
    whole_market: bool
    priority: int
    publication_lag: timedelta

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """Read one file. No data row is dropped; unreadable fields become null with a problem. Raises SourceError for a bad
        file.
        """
        ...

    def claims(self, name: str) -> bool:
        """Whether a file of this name (as in `RawFile.name`) is worth parsing when a folder is ingested."""
        ...


@runtime_checkable
class ChoosingSource(Protocol):
    """A source whose files may tell the same bars at different resolutions."""

    def set_aside(self, names: Sequence[str]) -> Mapping[str, str]:
        """Of files delivered together, those whose bars another of them has: the name, and why it is not read."""
        ...


@runtime_checkable
class CompanySource(Protocol):
    """A source that names companies for ever, not by the ticker of the day.

    Its `symbol_history` tells all tickers that a company (`permanent`) ever had, and the `symbol` of its `corporate_actions` is
    such a permanent name. `histories_begin`: first day that its histories know of; of a company whose history begins then they
    say nothing of the days before, any other was listed on the first day of its history.
    """

    histories_begin: date


def histories_begin(sources: Mapping[str, Source]) -> dict[str, date]:
    """`CompanySource.histories_begin` of the sources that have it, by name."""
    return {name: source.histories_begin for name, source in sources.items() if isinstance(source, CompanySource)}


def conform(table: str, frame: pl.DataFrame, *, price_basis: str | None = None) -> ParsedTable:
    """`frame` with exactly the columns of `table`: missing ones null, types cast, order fixed, others left out.

    `raw_text`, where the table has it, is emptied for rows without a `parse_problem`.
    """
    schema = FRAME_SCHEMAS[table]
    if "raw_text" in schema and "parse_problem" in frame.columns:
        frame = frame.with_columns(pl.when(pl.col("parse_problem").is_not_null()).then(pl.col("raw_text")).alias("raw_text"))
    columns = [(pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name) for name, dtype in schema.items()]
    return ParsedTable(table, frame.select(columns), price_basis=price_basis)
