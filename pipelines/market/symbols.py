"""What a ticker may be made of.

Lives here: the one pattern that row rules, expectations and repairs hold symbols against.
Does not live here: which instrument a symbol means (`identity/resolve.py`).
"""

from __future__ import annotations

import polars as pl

#: Upper-case ASCII letters, digits and the marks that exchanges use; an index may begin with a caret.
SYMBOL_PATTERN = r"^\^?[A-Z0-9][A-Z0-9&.\-_/^=]*$"
#: Listed options have the longest names (OSI: 21 characters; with exchange prefixes about 30).
LONGEST_SYMBOL = 40


def is_well_formed(symbol: pl.Expr) -> pl.Expr:
    """Whether an upper-cased symbol can name an instrument; null where the symbol is null."""
    return symbol.str.contains(SYMBOL_PATTERN) & (symbol.str.len_chars() <= LONGEST_SYMBOL) & ~symbol.str.contains(r"\n")
