"""Whether a vendor's prices are those that were traded, or adjusted afterwards.

Lives here: what a header says about it, in words and as the value that is kept with the delivery.
Does not live here: adjusting prices (`storage/adjusted_views.py`); the lake keeps what was delivered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ADJUSTED: Final = re.compile(
    r"^(adj(usted)?(close|open|high|low|price|closing|closeprice|last)|(close|open|high|low)adj(usted)?)$"
)
_YAHOO: Final = ("open", "high", "low", "close", "adjclose", "volume")
_INVESTING: Final = ("date", "price", "open", "high", "low", "vol", "change")


def basis_of_yfinance(header: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The price basis of `yfinance.download()`, whose prices are adjusted for dividends too unless it gives an Adj Close."""
    if any(name.strip().lower() == "adj close" for name in header):
        return "split_adjusted", (
            "Adj Close: adjusted afterwards and not read; the other prices of yfinance are adjusted for splits",
        )
    return "adjusted", ("prices of yfinance without Adj Close are adjusted for splits and dividends (auto_adjust), not as traded",)


def basis_of(header: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The price basis of a file with these columns, None where they do not tell, and what to say of it."""
    plain = tuple(re.sub(r"[^a-z0-9]", "", name.lower()) for name in header)
    notes = []
    ignored = [name.strip() for name, bare in zip(header, plain, strict=True) if _ADJUSTED.match(bare)]
    if ignored:
        notes.append(f"{', '.join(ignored)}: adjusted afterwards and not read; the bars are made of the plain columns")
    basis = None
    if {"dividends", "stocksplits"} <= set(plain) and not ignored:
        basis = "adjusted"
        notes.append("prices in the layout of yfinance are adjusted for splits and dividends unless auto_adjust was off")
    elif plain[1:] == _YAHOO or {"dividends", "stocksplits"} <= set(plain):
        basis = "split_adjusted"
        notes.append("prices in Yahoo's layout are adjusted for splits, the plain close too")
    elif plain == _INVESTING:
        basis = "split_adjusted"
        notes.append("prices of Investing.com are adjusted for splits")
    if basis is not None:
        notes.append(
            "recorded splits must not be applied to them again; where they are as traded, say so with price_basis=as_traded"
        )
    return basis, tuple(notes)
