"""Bars of instruments that the lake does not know: how to find them, and how to put such a lake right.

Lives here: `orphaned` and `repair_orphans`, for lakes in which bars and their instruments did not go in together.
Does not live here: what prevents it (`publish.py`), printing (`doctor/`).

Bars of a well-formed symbol get the instrument that their first session would have made. Bars of a symbol that no instrument can
bear leave the lake for the quarantine, where their file and row are kept; as they were they stay in `<table>_superseded`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from pipelines.identity.isin import ALIAS_ROW
from pipelines.identity.resolve import first_seen, tickers_seen
from pipelines.ingest.quarantine import quarantine_rows, store_quarantine
from pipelines.ingest.staging_columns import reference_rows, stage_columns
from pipelines.market.schema import TableSchema
from pipelines.market.symbols import is_well_formed
from pipelines.market.tables import BAR_TABLES, TABLES
from pipelines.quality.row_rules import MALFORMED_SYMBOL
from pipelines.storage.delta import Change, LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.upsert import keep_superseded, publish

_SHOWN = ["instrument_id", "symbol", "session_date"]


@dataclass(frozen=True)
class Repair:
    """`added`: instruments made for bars that had none; `removed`: bars set aside, by table."""

    added: tuple[str, ...]
    removed: dict[str, int]


def orphaned(lake: Lake, exchange: str) -> pl.DataFrame:
    """Instruments that have bars and no row in `instruments`: table, instrument_id, symbol, first_session, last_session, rows."""
    known = _table(lake, exchange, "instruments").read(columns=["instrument_id"])["instrument_id"].unique()
    unknown = ~pl.col("instrument_id").is_in(known.implode())
    found = [
        _table(lake, exchange, name)
        .read(columns=_SHOWN, where=unknown, verify=False)
        .group_by("instrument_id", "symbol")
        .agg(first_session=pl.col("session_date").min(), last_session=pl.col("session_date").max(), rows=pl.len())
        .select(pl.lit(name).alias("table"), "instrument_id", "symbol", "first_session", "last_session", "rows")
        for name in BAR_TABLES
    ]
    return pl.concat(found).sort("instrument_id", "table", "symbol")


def repair_orphans(lake: Lake, exchange: str, at: datetime) -> Repair:
    """Make the missing instruments, and set aside bars of malformed symbols. `at` (aware) is when the latter count as gone.

    Doing it again changes nothing.
    """
    orphans = orphaned(lake, exchange)
    sound = orphans.filter(is_well_formed(pl.col("symbol")))
    malformed = orphans.filter(~is_well_formed(pl.col("symbol")))
    removed = {name: _set_aside(lake, exchange, name, malformed, at) for name in BAR_TABLES}
    added = _add_instruments(lake, exchange, sound["instrument_id"].unique().sort().to_list())
    _drop_names(lake, exchange, malformed["instrument_id"].unique().to_list(), at)
    return Repair(added, {name: rows for name, rows in removed.items() if rows})


def _table(lake: Lake, exchange: str, name: str) -> LakeTable:
    return LakeTable(lake.table_uri(exchange, name), TABLES[name])


def _add_instruments(lake: Lake, exchange: str, instruments: Sequence[str]) -> tuple[str, ...]:
    if not instruments:
        return ()
    columns = [*_SHOWN, "source", "batch_id", "row_number", "known_at"]
    wanted = pl.col("instrument_id").is_in(list(instruments))
    bars = pl.concat([_table(lake, exchange, name).read(columns=columns, where=wanted) for name in BAR_TABLES])
    shown = bars.with_columns(received_at="known_at")
    seen, tickers = first_seen(shown), tickers_seen(shown)
    known = _table(lake, exchange, "instruments").read(columns=["instrument_id"])
    names = _table(lake, exchange, "instrument_aliases").read()
    rows, aliases = reference_rows(exchange, seen, tickers, pl.DataFrame(schema=ALIAS_ROW), known, names, {})
    for table, fresh in (("instruments", rows), ("instrument_aliases", aliases)):
        schema = TABLES[table]
        new = stage_columns(schema, fresh)
        publish(lake, exchange, schema, new, priorities={}, batches=new["batch_id"].unique().sort().to_list())
    return tuple(rows["instrument_id"].sort())


def _set_aside(lake: Lake, exchange: str, name: str, malformed: pl.DataFrame, at: datetime) -> int:
    wanted = malformed.filter(pl.col("table") == name).select("instrument_id", "symbol")
    if wanted.is_empty():
        return 0
    hit = pl.col("instrument_id").is_in(wanted["instrument_id"].implode())
    rows = _table(lake, exchange, name).read(where=hit).join(wanted, on=["instrument_id", "symbol"], how="semi")
    evidence = rows.with_columns(rule=pl.lit("malformed_symbol"), reason=pl.lit(MALFORMED_SYMBOL), received_at=pl.lit(at))
    store_quarantine(lake, exchange, quarantine_rows(exchange, name, evidence))
    _remove(lake, exchange, TABLES[name], rows, at)
    return rows.height


def _drop_names(lake: Lake, exchange: str, instruments: list[str], at: datetime) -> None:
    names = _table(lake, exchange, "instrument_aliases").read(where=pl.col("instrument_id").is_in(instruments))
    if instruments and names.height:
        _remove(lake, exchange, TABLES["instrument_aliases"], names, at)


def _remove(lake: Lake, exchange: str, schema: TableSchema, rows: pl.DataFrame, at: datetime) -> None:
    """Take rows out of a table in one commit; as they were they are kept in its companion."""
    key = list(schema.key)
    partitions = rows.get_column(schema.partition_by).unique().sort().to_list() if schema.partition_by else None

    def decide(read: Callable[[Sequence[PartitionValue] | None], pl.DataFrame]) -> Change:
        stored = read(partitions)
        kept = stored.join(rows.select(key), on=key, how="anti", maintain_order="left")
        if kept.height == stored.height:
            return Change(stored, [])
        keep_superseded(lake, exchange, schema, rows.with_columns(superseded_at=pl.lit(at), superseded_by_batch=pl.lit("repair")))
        return Change(kept, partitions)

    LakeTable(lake.table_uri(exchange, schema.name), schema).update(decide, {"why": "repair"})
