"""The three layouts of NSE's end-of-day files, distinguished by their header, and the session that a file's name promises.

Lives here: which of the exchange's columns is which field.
Does not live here: the meaning of the values (`nse_bhavcopy.py`).

- `cm`: `cm01JAN2019bhav.csv`, until 2024-07-05. The oldest have neither TOTALTRADES nor ISIN; every line ends with a comma.
- `full`: `sec_bhavdata_full_03102024.csv`, with deliveries and without ISIN; a blank follows every comma, "-" is missing.
- `udiff`: `BhavCopy_NSE_CM_0_0_0_20240708_F_0000.csv`, since 2024-07-08: 34 columns, the same for every Indian exchange.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from pipelines.sources.protocol import RawFile, SourceError
from pipelines.sources.text import split_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CM: Final = {
    "SYMBOL": "symbol",
    "SERIES": "series",
    "OPEN": "open",
    "HIGH": "high",
    "LOW": "low",
    "CLOSE": "close",
    "PREVCLOSE": "prev_close",
    "TOTTRDQTY": "volume",
    "TOTTRDVAL": "turnover",
    "TIMESTAMP": "moment",
    "TOTALTRADES": "trades",
    "ISIN": "isin",
}
_FULL: Final = {
    "SYMBOL": "symbol",
    "SERIES": "series",
    "DATE1": "moment",
    "PREV_CLOSE": "prev_close",
    "OPEN_PRICE": "open",
    "HIGH_PRICE": "high",
    "LOW_PRICE": "low",
    "CLOSE_PRICE": "close",
    "TTL_TRD_QNTY": "volume",
    "TURNOVER_LACS": "turnover",
    "NO_OF_TRADES": "trades",
    "DELIV_QTY": "delivery_qty",
}
_UDIFF: Final = {
    "TRADDT": "moment",
    "SGMT": "segment",
    "SRC": "published_by",
    "ISIN": "isin",
    "TCKRSYMB": "symbol",
    "SCTYSRS": "series",
    "OPNPRIC": "open",
    "HGHPRIC": "high",
    "LWPRIC": "low",
    "CLSPRIC": "close",
    "PRVSCLSGPRIC": "prev_close",
    "TTLTRADGVOL": "volume",
    "TTLTRFVAL": "turnover",
    "TTLNBOFTXSEXCTD": "trades",
}
#: Columns that the layout's oldest files lack.
_MAY_LACK: Final = {"trades", "isin", "published_by"}
#: Layout → its columns, the column that no other layout has, and the unit of its turnover.
_LAYOUTS: Final[tuple[tuple[str, Mapping[str, str], str, str], ...]] = (
    ("cm", _CM, "TOTTRDQTY", "rupees"),
    ("full", _FULL, "TTL_TRD_QNTY", "rupees or lakhs"),
    ("udiff", _UDIFF, "TCKRSYMB", "rupees"),
)
#: Name of the file → how its date is written.
_NAMES: Final = (
    (re.compile(r"^cm(\d{2}[a-z]{3}\d{4})bhav\b", re.IGNORECASE), "%d%b%Y"),
    (re.compile(r"^sec_bhavdata_full_(\d{8})", re.IGNORECASE), "%d%m%Y"),
    (re.compile(r"^bhavcopy_nse_cm_0_0_0_(\d{8})", re.IGNORECASE), "%Y%m%d"),
)
_SUFFIX: Final = re.compile(r"\.(csv|zip|gz)$", re.IGNORECASE)


@dataclass(frozen=True)
class FileLayout:
    """Where the fields stand: `names[i]` is the field of column i, None for one that is not used.

    `turnover_in` is "rupees", or "rupees or lakhs" where the column's unit changed over the years.
    """

    kind: str
    names: list[str | None]
    turnover_in: str


def read_layout(raw: RawFile, line: str) -> FileLayout:
    """The layout that a header line describes. Raises SourceError for a header of another file, or one that lacks a column."""
    header = [part.strip() for part in split_line(line, ",")]
    plain = [part.upper() for part in header]
    for kind, columns, mark, turnover_in in _LAYOUTS:
        if mark in plain:
            _require(raw, kind, columns, plain)
            return FileLayout(kind, [columns.get(name) for name in plain], turnover_in)
    raise SourceError(
        f"{raw.name}, row 1: no bhavcopy of NSE ({line[:80]!r}); known are the headers of cm…bhav.csv, sec_bhavdata_full_….csv and "
        "BhavCopy_NSE_CM_….csv. Other files: --source csv"
    )


def _require(raw: RawFile, kind: str, columns: Mapping[str, str], plain: Sequence[str]) -> None:
    missing = [name for name, field in columns.items() if name not in plain and field not in _MAY_LACK]
    twice = [name for name in columns if plain.count(name) > 1]
    if missing or twice:
        what = f"lacks the column {missing[0]}" if missing else f"has the column {twice[0]} twice"
        raise SourceError(f"{raw.name}, row 1: the header of the layout {kind} {what}; fetch it again")


def is_bhavcopy_name(name: str) -> bool:
    """Whether a file is called as the exchange calls its bhavcopies."""
    bare = PurePosixPath(name).name
    return _SUFFIX.search(bare) is not None and any(pattern.match(bare) for pattern, _ in _NAMES)


def date_in_name(raw: RawFile) -> date | None:
    """The session in the file's name; None where the name is not of the exchange. Raises SourceError for an impossible date."""
    bare = PurePosixPath(raw.name).name
    for pattern, written in _NAMES:
        found = pattern.match(bare)
        if found is None:
            continue
        try:
            return datetime.strptime(found[1], written).date()  # noqa: DTZ007  # a date, without a time or zone
        except ValueError as error:
            raise SourceError(f"{raw.name}: {found[1]!r} in its name is no date; correct the name") from error
    return None
