"""The source `nse_derivatives`: NSE's end-of-day files of futures and options, into `bars_other_series`.

Lives here: both layouts, the name of a contract, and the size of a lot where volume is counted in lots.
Does not live here: shares (`nse_bhavcopy.py`).

- Until 2024-07-05 `foDDMMMYYYYbhav.csv`: instruments FUTIDX, FUTSTK, OPTIDX, OPTSTK; CONTRACTS counts lots, open interest units.
- Since 2024-07-08 `BhavCopy_NSE_FO_0_0_0_YYYYMMDD_F_0000.csv` (UDiFF): IDF, STF, IDO, STO; volume in units.

A row's symbol is the underlying's; its `series` names the contract in one spelling for both: `STF 2024-07-25`,
`IDO 2024-07-25 24000 CE`. A contract that did not trade has no bar: its prices are 0, its close is carried on. Turnover is left
out: of options it is the value of what underlies them, not of what was paid.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Final

import polars as pl

from pipelines.sources.csv_header import refuse_other_publishers
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError, conform
from pipelines.sources.text import fields, line_read, lines, numbers, read_text, refuse_cut_off, split_line, with_problems
from pipelines.sources.timestamps import read_moments

_OLD: Final = {
    "INSTRUMENT": "kind",
    "SYMBOL": "symbol",
    "EXPIRY_DT": "expiry",
    "STRIKE_PR": "strike",
    "OPTION_TYP": "option",
    "OPEN": "open",
    "HIGH": "high",
    "LOW": "low",
    "CLOSE": "close",
    "CONTRACTS": "lots",
    "VAL_INLAKH": "value",
    "OPEN_INT": "open_interest",
    "CHG_IN_OI": "change",
    "TIMESTAMP": "moment",
}
_UDIFF: Final = {
    "TRADDT": "moment",
    "SGMT": "segment",
    "SRC": "published_by",
    "FININSTRMTP": "kind",
    "TCKRSYMB": "symbol",
    "XPRYDT": "expiry",
    "STRKPRIC": "strike",
    "OPTNTP": "option",
    "OPNPRIC": "open",
    "HGHPRIC": "high",
    "LWPRIC": "low",
    "CLSPRIC": "close",
    "PRVSCLSGPRIC": "prev_close",
    "TTLTRADGVOL": "volume",
    "TTLNBOFTXSEXCTD": "trades",
}
_KINDS: Final = {
    "FUTIDX": "IDF",
    "FUTSTK": "STF",
    "OPTIDX": "IDO",
    "OPTSTK": "STO",
    **{kind: kind for kind in ("IDF", "STF", "IDO", "STO")},
}
_NAMES: Final = (
    (re.compile(r"^fo(\d{2}[a-z]{3}\d{4})bhav\b", re.IGNORECASE), "%d%b%Y"),
    (re.compile(r"^bhavcopy_nse_fo_0_0_0_(\d{8})", re.IGNORECASE), "%Y%m%d"),
)
_PRICES: Final = ("open", "high", "low", "close")
#: How far the lot that turnover suggests may be from the one that open interest does.
_LOT_WITHIN: Final = 0.05
_RUPEES_PER_LAKH: Final = 100_000


class NseDerivativesSource:
    """NSE's futures and options of one session."""

    name = "nse_derivatives"
    description = "NSE end-of-day files of futures and options, plain or zipped: fo…bhav, UDiFF BhavCopy_NSE_FO"
    whole_market = False
    priority = 30
    publication_lag = timedelta(hours=3)

    def claims(self, name: str) -> bool:
        """Files under the names that the exchange gives them."""
        return any(pattern.match(PurePosixPath(name).name) for pattern, _ in _NAMES)

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """`bars_other_series`, one row per contract that traded or cannot be read.

        Raises SourceError for another layout, segment or exchange, damaged files, and a session that the name contradicts.
        """
        if options.extra:
            raise SourceError(f"{raw.name}: the source {self.name} has no options, not {', '.join(sorted(options.extra))}")
        text = read_text(raw)
        frame = lines(text)
        names = _layout(raw, frame["line"][0])
        rows = frame.slice(1)
        if rows.is_empty():
            raise SourceError(f"{raw.name}: only a header line and no rows; fetch it again")
        refuse_cut_off(raw, text, rows, width=len(names), separator=",")
        rows = fields(rows, names, ",")
        refuse_other_publishers(raw, rows, "XNSE")
        _refuse_other_segments(raw, rows)
        rows = _named(_dated(raw, _numbers(rows), options.session))
        rows = _in_units(rows) if "lots" in names else rows
        idle = (pl.col("volume") == 0) & pl.col("parse_problem").is_null()
        table = conform("bars_other_series", rows.filter(~idle.fill_null(value=False)), price_basis="as_traded")
        return [table]


def _layout(raw: RawFile, line: str) -> list[str | None]:
    header = [part.strip().upper() for part in split_line(line, ",")]
    columns = _UDIFF if "TCKRSYMB" in header else _OLD
    missing = [name for name in columns if name not in header]
    if missing:
        raise SourceError(
            f"{raw.name}, row 1: no file of NSE's futures and options ({line[:80]!r}): no column {missing[0]}; fetch it again"
        )
    return [columns.get(name) for name in header]


def _refuse_other_segments(raw: RawFile, rows: pl.DataFrame) -> None:
    if "segment" not in rows.columns:
        return
    others = rows.filter((pl.col("segment") != "FO") & line_read())
    if others.height:
        raise SourceError(
            f"{raw.name}, row {others['row_number'][0]}, column Sgmt: holds the segment {others['segment'][0]!r}, not FO; "
            "shares are read by --source nse_bhavcopy"
        )


def _numbers(rows: pl.DataFrame) -> pl.DataFrame:
    wanted = (*_PRICES, "strike", "volume", "lots", "value", "open_interest", "change", "prev_close", "trades")
    present = [name for name in wanted if name in rows.columns]
    values, problems = numbers(present, required=(*_PRICES, "volume", "lots"))
    return with_problems(rows, problems).with_columns(values)


def _dated(raw: RawFile, rows: pl.DataFrame, expected: date | None) -> pl.DataFrame:
    """`session_date`, one for the file, and `expires`; held against the file's name and the caller's `expected`."""
    session, expires = (read_moments(raw, rows[name], date_order="dmy")["wall"].dt.date() for name in ("moment", "expiry"))
    rows = rows.with_columns(session.alias("session_date"), expires.alias("expires"))
    unread = [
        pl.when(pl.col(read).is_null() & line_read()).then(pl.format(f"{name}: '{{}}' is not a date", pl.col(written)))
        for name, read, written in (("date", "session_date", "moment"), ("expiry", "expires", "expiry"))
    ]
    rows = with_problems(rows, unread)
    found = rows["session_date"].drop_nulls().unique().to_list()
    if len(found) != 1:
        raise SourceError(f"{raw.name}: holds rows of {len(found)} sessions; a file is of one, fetch it again")
    for stated in (expected, _date_in_name(raw)):
        if stated is not None and stated != found[0]:
            raise SourceError(f"{raw.name}: its rows are of {found[0]}, not of {stated}; fetch the right one, or correct the name")
    return rows


def _date_in_name(raw: RawFile) -> date | None:
    for pattern, written in _NAMES:
        named = pattern.match(PurePosixPath(raw.name).name)
        if named is None:
            continue
        try:
            return datetime.strptime(named[1], written).date()  # noqa: DTZ007  # a date, without a time or zone
        except ValueError as error:
            raise SourceError(f"{raw.name}: {named[1]!r} in its name is no date; correct the name") from error
    return None


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    """`series`, the contract's name: kind, expiry, and of options strike and type."""
    kind = pl.col("kind").str.to_uppercase().replace_strict(_KINDS, default=None, return_dtype=pl.String)
    strikes = {value: f"{value:.10g}" for value in rows["strike"].drop_nulls().unique()}
    strike = pl.col("strike").replace_strict(strikes, default=None, return_dtype=pl.String)
    future = pl.format("{} {}", kind, pl.col("expires"))
    option = pl.format("{} {} {} {}", kind, pl.col("expires"), strike, pl.col("option").str.to_uppercase())
    is_option = kind.is_in(["IDO", "STO"])
    problems = [
        pl.when(kind.is_null() & line_read()).then(pl.format("kind: '{}' is no future or option", pl.col("kind"))),
        pl.when((pl.col("symbol") == "") & line_read()).then(pl.lit("symbol: empty")),
        pl.when(is_option & ~pl.col("option").str.to_uppercase().is_in(["CE", "PE", "CA", "PA"])).then(
            pl.format("option: '{}' is neither CE nor PE", pl.col("option"))
        ),
    ]
    return with_problems(rows, problems).with_columns(
        series=pl.when(is_option).then(option).otherwise(future),
        symbol=pl.when(pl.col("symbol") != "").then(pl.col("symbol").str.to_uppercase()),
    )


def _in_units(rows: pl.DataFrame) -> pl.DataFrame:
    """`volume` in units from `lots`: by the lot that open interest and turnover of an underlying and expiry agree upon."""
    lots: dict[tuple[str, date], int | None] = {}
    traded = rows.filter((pl.col("lots") > 0) & pl.col("parse_problem").is_null())
    for (symbol, expires), contracts in rows.group_by("symbol", "expires", maintain_order=True):
        if symbol is not None and expires is not None:
            own = traded.filter((pl.col("symbol") == symbol) & (pl.col("expires") == expires))
            lots[symbol, expires] = _lot(contracts, own) if own.height else None
    known = pl.DataFrame(
        [(symbol, expires, lot) for (symbol, expires), lot in lots.items()],
        schema={"symbol": pl.String, "expires": pl.Date, "lot": pl.Int64},
        orient="row",
    )
    rows = rows.join(known, on=["symbol", "expires"], how="left", maintain_order="left")
    unknown = pl.when((pl.col("lots") > 0) & pl.col("lot").is_null()).then(
        pl.lit("volume: the size of the lot is not told by open interest and turnover")
    )
    volume = pl.when(pl.col("lots") == 0).then(0.0).otherwise(pl.col("lots") * pl.col("lot"))
    return with_problems(rows, [unknown]).with_columns(volume=volume)


def _lot(contracts: pl.DataFrame, traded: pl.DataFrame) -> int | None:
    """Units of a lot: the divisor of every open interest that is nearest to what turnover suggests; None where they disagree."""
    interests = [abs(int(value)) for name in ("open_interest", "change") for value in contracts[name].drop_nulls()]
    shared = math.gcd(*interests)
    typical = pl.col("strike").fill_null(0) + pl.mean_horizontal(*_PRICES)
    paid, units = traded.select((pl.col("value") * _RUPEES_PER_LAKH).sum(), (pl.col("lots") * typical).sum()).row(0)
    if not shared or not units or not paid:
        return None
    suggested = paid / units
    times = max(round(shared / suggested), 1)
    if shared % times or abs(shared / times / suggested - 1) > _LOT_WITHIN:
        return None
    return shared // times
