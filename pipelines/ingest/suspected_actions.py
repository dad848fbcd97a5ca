"""Suspected actions: splits and demergers that bars show and nobody recorded, and how a person decides about them.

Lives here: reading them from `price_flags`, and saying them in a line each with the command that decides.
Does not live here: finding them (dbt model `int_suspected_actions`), before a nightly run (`scanners/suspected_actions.py`).
"""

from __future__ import annotations

from fractions import Fraction

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.market.tables.quality import SUSPECTED_ACTIONS
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

_SHOWN = 10
#: Columns that the sentences need.
COLUMNS = ("symbol", "instrument_id", "session_date", "flag", "since", "price_ratio", "split_ratio")


def suspected_actions(lake: Lake, exchange: str, instrument: str | None = None) -> pl.DataFrame:
    """Suspected actions as last built, newest first; those of one symbol or instrument_id where it is given."""
    table = LakeTable(lake.table_uri(exchange, "price_flags"), TABLES["price_flags"])
    rows = table.read(columns=COLUMNS, where=pl.col("flag").is_in(list(SUSPECTED_ACTIONS)))
    if instrument is not None:
        rows = rows.filter((pl.col("symbol") == instrument.upper()) | (pl.col("instrument_id") == instrument))
    return rows.sort("session_date", "symbol", descending=[True, False])


def describe_suspects(exchange: str, suspects: pl.DataFrame, *, withheld: bool) -> list[str]:
    """Lines for people: each suspect, and the commands that record the first one's action or that the move is true.

    `withheld`: whether signals across it are withheld until then (the setting MARKETLAKE_SUSPECTED_ACTIONS).
    """
    if suspects.is_empty():
        return []
    lines = [_sentence(row) for row in suspects.head(_SHOWN).iter_rows(named=True)]
    if suspects.height > _SHOWN:
        lines.append(
            f"and {suspects.height - _SHOWN} more: marketlake sql \"select * from price_flags where flag like 'unrecorded%'\""
        )
    first = suspects.row(0, named=True)
    what = "split" if first["flag"] == "unrecorded_split" else "demerger"
    ratio = f"{first['split_ratio']:.6g}" if what == "split" else ""
    effect = "signals across it are withheld until then" if withheld else "signals across it are given all the same"
    return [
        *lines,
        f"decide, {effect}; record the {what}:  {_command(exchange, first, what, ratio)}",
        f"or that it was a true move:  {_command(exchange, first, 'true_move', '')}",
    ]


def _sentence(row: dict[str, object]) -> str:
    ratio = row["split_ratio"]
    if row["flag"] == "unrecorded_split" and isinstance(ratio, float):
        shares = Fraction(ratio).limit_denominator(100)
        looks = f"a split or bonus, {shares.numerator} new shares for {shares.denominator}"
    else:
        looks = "a demerger, or a bonus of an unusual ratio"
    return (
        f"suspected action: {row['symbol']} on {row['session_date']}: close at {row['price_ratio']:.4g} of that of {row['since']}, "
        f"looks like {looks}; none is recorded"
    )


def _command(exchange: str, row: dict[str, object], action: str, ratio: str) -> str:
    name = f"action-{row['symbol']}-{row['session_date']}.csv".replace("&", "and").replace("/", "-")
    text = f"symbol,ex_date,action,ratio\\n{row['symbol']},{row['session_date']},{action},{ratio}\\n"
    return f"printf '{text}' > {name} && marketlake ingest {name} --source actions --exchange {exchange}"
