"""Symbols as vendors write them, led back to those of the exchange.

Lives here: the suffixes and prefixes by which vendors name the exchange within a symbol.
Does not live here: what a symbol may look like (`market/symbols.py`), renames (`identity/aliases.py`).

Yahoo writes RELIANCE.NS and RELIANCE.BO, Stooq AAPL.US, brokers of India NSE:SBIN-EQ. Single letters after a dot are a class of
shares in New York (BRK.B) and no exchange.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import polars as pl

SUFFIXES: Final = MappingProxyType(
    {
        ".NS": "XNSE",
        ".NSE": "XNSE",
        ".BO": "XBOM",
        ".BSE": "XBOM",
        ".US": "XNYS",
        ".TO": "XTSE",
        ".AX": "XASX",
        ".HK": "XHKG",
        ".DE": "XETR",
        ".PA": "XPAR",
        ".AS": "XAMS",
        ".SW": "XSWX",
        ".UK": "XLON",
        ".JP": "XTKS",
    }
)
PREFIXES: Final = MappingProxyType({"NSE:": "XNSE", "BSE:": "XBOM", "NYSE:": "XNYS", "NASDAQ:": "XNYS", "AMEX:": "XNYS"})
#: Series that brokers of India append to the symbol; only behind a prefix, because BAJAJ-AUTO has a hyphen of its own.
_SERIES: Final = r"-(?:EQ|BE|BZ|SM|ST)$"


def exchange_symbol(symbol: pl.Expr, mic: str) -> tuple[pl.Expr, pl.Expr]:
    """(the symbol of exchange `mic`, the problem of one that names another exchange) of an upper-case text column."""
    plain, other = symbol, pl.lit(None, pl.String)
    for suffix, of in SUFFIXES.items():
        named = symbol.str.ends_with(suffix) & (symbol.str.len_chars() > len(suffix))
        plain = pl.when(named & pl.lit(of == mic)).then(symbol.str.strip_suffix(suffix)).otherwise(plain)
        other = pl.when(named & pl.lit(of != mic)).then(pl.lit(of)).otherwise(other)
    for prefix, of in PREFIXES.items():
        named = symbol.str.starts_with(prefix) & (symbol.str.len_chars() > len(prefix))
        plain = pl.when(named & pl.lit(of == mic)).then(symbol.str.strip_prefix(prefix).str.replace(_SERIES, "")).otherwise(plain)
        other = pl.when(named & pl.lit(of != mic)).then(pl.lit(of)).otherwise(other)
    problem = pl.when(other.is_not_null()).then(pl.format(f"symbol: '{{}}' is of {{}}, not of {mic}", symbol, other))
    return plain, problem
