"""Whether the names in a user's universes mean something.

Lives here: `check_names`, which finds the first line of a universe file whose name no instrument has or ever had.
Does not live here: reading the files (`universes.py`), which instrument a name means on a session (`int_universe_members.sql`).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.scanners.universes import UniverseError, Universes
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

_SHOWN = 5


def check_names(lake: Lake, exchanges: Collection[str], exchange: str, universes: Universes, names: Iterable[str]) -> None:
    """UniverseError with file and line where a list of these universes names what resolves to nothing.

    A name is a ticker of any time or an instrument_id. One that is given for no exchange may be any exchange's of `exchanges`;
    those given for others than `exchange` are not looked at.
    """
    lines = universes.lines.filter(pl.col("universe_name").is_in(list(names)))
    lines = lines.filter(pl.col("exchange").is_null() | (pl.col("exchange") == exchange))
    if lines.is_empty():
        return
    known = {mic: _names_of(lake, mic) for mic in {*exchanges, exchange}}
    anywhere = set().union(*known.values())
    unknown = [
        (place, symbol)
        for place, mic, symbol in lines.select("place", "exchange", "symbol").iter_rows()
        if symbol not in (anywhere if mic is None else known[mic])
    ]
    if not unknown:
        return
    place, symbol = unknown[0]
    where = " or ".join(sorted(mic for mic, found in known.items() if found)) or exchange
    more = ", ".join(f"{other} ({name})" for other, name in unknown[1 : _SHOWN + 1])
    beyond = f" and {len(unknown) - 1 - _SHOWN} more" if len(unknown) > _SHOWN + 1 else ""
    also = f"; the same of {more}{beyond}" if more else ""
    near = difflib.get_close_matches(symbol, sorted(anywhere), 1, 0.7)
    meant = f"did you mean {near[0]}? " if near else ""
    hint = "correct it, ingest its bars, or take the line out"
    raise UniverseError(f"{place}: no instrument of {where} has or ever had the name {symbol!r}: {meant}{hint}{also}")


def _names_of(lake: Lake, exchange: str) -> set[str]:
    """Tickers of all times and instrument_ids of an exchange."""
    aliases, instruments = (
        LakeTable(lake.table_uri(exchange, name), TABLES[name]).read(columns=columns)
        for name, columns in (("instrument_aliases", ["kind", "value"]), ("instruments", ["instrument_id", "symbol"]))
    )
    tickers = aliases.filter(pl.col("kind") == "symbol").get_column("value")
    return {*tickers, *instruments.get_column("instrument_id"), *instruments.get_column("symbol")}
