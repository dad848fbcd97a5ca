"""Understanding the header of a delimited file.

Lives here: the spellings vendors use for the columns of a bar, the choice of the delimiter, and the layout both lead to.
Does not live here: the rows.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.sources.protocol import RawFile, SourceError
from pipelines.sources.text import split_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Field → its usual spellings, compared without case, blanks and punctuation; earlier ones win where a file has several.
SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    "moment": (
        "datetime",
        "timestamp",
        "ts",
        "tsevent",
        "date",
        "tradedate",
        "tradingdate",
        "sessiondate",
        "day",
        "date1",
        "traddt",
        "bardate",
        "dt",
        "begin",
        "windowstart",
        "unix",
    ),
    "clock": ("time", "bartime", "tradetime"),
    "symbol": ("symbol", "ticker", "tradingsymbol", "tckrsymb", "code", "instrument", "scrip", "stock", "sym", "name"),
    "series": ("series", "sctysrs"),
    "open": ("open", "openprice", "opnpric", "o", "first", "openingprice"),
    "high": ("high", "highprice", "hghpric", "h", "max", "dayhigh"),
    "low": ("low", "lowprice", "lwpric", "l", "min", "daylow"),
    "close": ("close", "closeprice", "clspric", "c", "closelast", "closingprice", "last", "lastprice", "price"),
    "volume": ("volume", "vol", "v", "totaltradedquantity", "tottrdqty", "ttltrdqnty", "ttltradgvol", "shares", "quantity", "qty"),
    "turnover": ("turnover", "tottrdval", "ttltrfval", "tradedvalue", "value", "amount"),
    "trades": (
        "trades",
        "totaltrades",
        "nooftrades",
        "numberoftrades",
        "numtrades",
        "tradecount",
        "transactions",
        "ttlnboftxsexctd",
    ),
    "prev_close": ("prevclose", "previousclose", "prvsclsgpric", "prevcloseprice"),
    "delivery_qty": ("deliveryqty", "delivqty", "deliverablequantity", "deliverableqty"),
    "isin": ("isin",),
    "published_by": ("src",),
}
#: The exchanges of India publish one layout (UDiFF), whose column Src says which of them did.
PUBLISHERS: Final = {"NSE": "XNSE", "BSE": "XBOM"}
PRICES: Final = ("open", "high", "low", "close")
#: Numbers that a bar may have besides its prices.
OPTIONAL: Final = ("volume", "turnover", "trades", "prev_close", "delivery_qty")
_SEPARATORS: Final = (",", ";", "\t", "|")
#: A first column without a name is the date: what pandas writes for an index.
_UNNAMED: Final = ("", "index", "unnamed0")


@dataclass(frozen=True)
class Layout:
    """Where the fields of a bar stand: `names[i]` is the field of column i, None for one that is not used; `header` as written."""

    separator: str
    names: list[str | None]
    header: Sequence[str] = ()

    def has(self, field: str) -> bool:
        """Whether the file has a column for `field`."""
        return field in self.names


def read_header(raw: RawFile, line: str, extra: Mapping[str, str] = MappingProxyType({})) -> Layout:
    """The layout that a header line, and the options `column.FIELD` of `extra`, describe.

    Raises SourceError when it names no bar, two columns claim one field, or an option names a column that is not there.
    """
    separator = max(_SEPARATORS, key=lambda mark: sum(_is_known(part) for part in split_line(line, mark)))
    header = [part.strip() for part in split_line(line, separator)]
    while len(header) > 1 and not header[-1]:
        header.pop()
    given = given_columns(raw, header, extra)
    return Layout(
        separator, match_columns(raw, header, given, "column.close=…, or columns=date,open,high,low,close,volume"), header
    )


def match_columns(raw: RawFile, header: Sequence[str], given: Mapping[str, int], remedy: str) -> list[str | None]:
    """The field of each column of `header`, None for one that is not used.

    `given` places fields that the caller named; the others are found by spelling. Raises SourceError when the columns make no
    bar; `remedy` is the option that the message advises.
    """
    plain = [_plain(part) for part in header]
    names: list[str | None] = [None] * len(header)
    for field, position in given.items():
        names[position] = field
    for field, spellings in SPELLINGS.items():
        if field in given:
            continue
        found = _first_position(raw, header, plain, spellings)
        if found is not None and names[found] is None:
            names[found] = field
    if "moment" not in names and names[0] is None and plain[0] in _UNNAMED:
        names[0] = "moment"
    _require_bar(raw, header, names, remedy)
    return names


def refuse_other_publishers(raw: RawFile, rows: pl.DataFrame, mic: str) -> None:
    """SourceError when the column `published_by` of a UDiFF file names another exchange than `mic`; other files may lack it."""
    if "published_by" not in rows.columns:
        return
    written = pl.col("published_by").cast(pl.String).str.strip_chars().str.to_uppercase()
    published = rows.select(
        "row_number", mic=written.replace_strict(PUBLISHERS, default=None, return_dtype=pl.String), name=written
    )
    others = published.filter(pl.col("mic").is_not_null() & (pl.col("mic") != mic))
    if others.height:
        raise SourceError(
            f"{raw.name}, row {others['row_number'][0]}, column Src: published by {others['name'][0]}, which is "
            f"{others['mic'][0]}, not {mic}; choose the right --exchange, or fetch the file of {mic}"
        )


def given_columns(raw: RawFile, header: Sequence[str], extra: Mapping[str, str]) -> dict[str, int]:
    """Position of each field that an option names."""
    given = {}
    for option, column in extra.items():
        if not option.startswith("column."):
            continue
        if column not in header:
            raise SourceError(f"{raw.name}: option {option}={column!r}: no such column; it has {', '.join(header)[:200]}")
        given[option.removeprefix("column.")] = header.index(column)
    if len(set(given.values())) < len(given):
        raise SourceError(f"{raw.name}: two column. options name the same column; give each field its own")
    return given


def _first_position(raw: RawFile, header: Sequence[str], plain: Sequence[str], spellings: Sequence[str]) -> int | None:
    for spelling in spellings:
        positions = [i for i, name in enumerate(plain) if name == spelling]
        if len(positions) > 1:
            raise SourceError(f"{raw.name}, row 1: column {header[positions[0]]!r} is there twice; rename or remove one")
        if positions:
            return positions[0]
    return None


def _require_bar(raw: RawFile, header: Sequence[str], names: Sequence[str | None], remedy: str) -> None:
    missing = [field for field in PRICES if field not in names]
    if "moment" not in names and "clock" not in names:
        missing.insert(0, "date")
    if not missing:
        return
    if len(missing) == len(PRICES) + 1:
        raise SourceError(
            f"{raw.name}, row 1: no column names ({', '.join(header)[:120]!r}); add a header line, "
            f"or name the columns with the option {remedy}"
        )
    hints = [_hint(field, header, names) for field in missing]
    raise SourceError(
        f"{raw.name}, row 1: no column for {', '.join(missing)} among {', '.join(header)[:200]!r}{''.join(hints)}; "
        f"rename the column, or name columns with the option {remedy}"
    )


def _hint(field: str, header: Sequence[str], names: Sequence[str | None]) -> str:
    free = [column for column, used in zip(header, names, strict=True) if used is None and column]
    close = difflib.get_close_matches(field, [column.lower() for column in free], n=1, cutoff=0.7)
    return f"; is {close[0]!r} the {field}?" if close else ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_known(name: str) -> bool:
    return any(_plain(name) in spellings for spellings in SPELLINGS.values())
