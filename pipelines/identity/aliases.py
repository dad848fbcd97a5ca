"""The names that an order's rows are read by: what is on record, what its files tell, and what follows for stored rows.

Lives here: `resolve_names`, which puts ticker histories, renames, ISINs, late links and delistings together.
Does not live here: each of them (`resolve.py`, `isin.py`, `instrument_merges.py`), rows for the reference tables
(`ingest/staging_columns.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.identity.instrument_merges import InstrumentMerges, find_instrument_merges
from pipelines.identity.isin import ALIAS_ROW, Links, link, upsert_aliases
from pipelines.identity.resolve import ALIAS, aliases_from_renames, resolve
from pipelines.identity.ticker_histories import PERMANENT, aliases_from_history, replaced_names
from pipelines.identity.ticker_reuse import foreign_days, split_reused_tickers
from pipelines.identity.ticker_transfers import transfer_ticker
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.reassign import MOVE

_ROW = ("batch_id", "row_number", "source")
_KEY = ["instrument_id", "kind", "value", "valid_from"]
#: What an instrument's last session is known from: a delisting, or a merger that says into what.
_END = {
    "instrument_id": pl.String(),
    "ex_date": pl.Date(),
    "batch_id": pl.String(),
    "row_number": pl.Int64(),
    "source": pl.String(),
}


_NEVER = pl.lit(None, pl.Datetime("us", "UTC"))


@dataclass(frozen=True)
class RequestNames:
    """What an order's rows are called, and what follows.

    aliases: ticker periods to resolve by (columns of `ALIAS`). links: instruments of (symbol, ISIN). history: alias rows that are
    new or changed; known: those on record. moves: stored rows that become another instrument's (`MOVE`). refused: stated aliases
    that stored bars contradict, with `reason`. ends: instruments that end before `ex_date`; disputed: actions of those that trade
    on. foreign: days on which a ticker is another company's than the one named after it (`ticker_reuse.FOREIGN`). companies:
    instruments by the permanent name that a source gives them (columns instrument_id, permanent).
    """

    aliases: pl.DataFrame
    links: Links
    history: pl.DataFrame
    known: pl.DataFrame
    moves: pl.DataFrame
    refused: pl.DataFrame
    ends: pl.DataFrame
    disputed: pl.DataFrame
    foreign: pl.DataFrame
    companies: pl.DataFrame


def resolve_names(
    lake: Lake,
    exchange: str,
    parsed: Mapping[str, pl.DataFrame],
    actions: pl.DataFrame,
    histories_begin: Mapping[str, date],
    *,
    follow: bool,
) -> RequestNames:
    """Names after everything that an order's files tell.

    `parsed`: the order's rows by table. `actions`: corporate actions on record and in the order. `histories_begin`: of the sources
    that tell whole histories of companies, the first day that they know of. `follow`: whether stored rows may move; an order that
    releases rows from quarantine moves none.
    """
    known = _stored(lake, exchange, "instrument_aliases")
    instruments = _stored(lake, exchange, "instruments")
    stated = _stated(exchange, parsed["symbol_history"], known)
    received = _received(parsed)
    assigned = _assigned(known, instruments, received["batch_id"].to_list())
    replaced = replaced_names(stated, _rows(known), assigned, histories_begin)
    foreign = foreign_days(exchange, _over(_rows(known), _over(stated, replaced)), histories_begin)
    taken = transfer_ticker(lake, exchange, parsed["symbol_history"], _over(_rows(known), _over(stated, replaced)))
    parted = pl.DataFrame(schema=MOVE)
    none = InstrumentMerges(
        pl.DataFrame(schema=MOVE),
        pl.DataFrame(schema=ALIAS_ROW),
        stated.clear().with_columns(received_at=_NEVER, reason=pl.lit("")),
    )
    first = second = none
    if follow:
        claims = stated.filter((pl.col("kind") == "symbol") & ~_never()).with_columns(stated=pl.lit(value=True))
        others = split_reused_tickers(lake, exchange, stated.join(received, on="batch_id"), _over(_rows(known), stated), foreign)
        parted, stated = pl.concat([others.moves, taken.moves]), _over(stated, others.aliases)
        first = _late(lake, exchange, claims, known, stated, instruments, received, parted)
        stated = stated.join(first.refused, on=["batch_id", *_KEY], how="anti", maintain_order="left")
    stated = _over(_over(_over(stated, replaced), first.aliases), taken.aliases)
    links = link(exchange, parsed["bars_daily"], upsert_aliases(known, stated), actions)
    if follow:
        second = _late(lake, exchange, _claims_by_isin(exchange, links, parsed["bars_daily"]), known, stated, instruments, received)
    if second.aliases.height:
        stated = _over(stated, second.aliases)
        links = link(exchange, parsed["bars_daily"], upsert_aliases(known, stated), actions)
    history = _over(stated, links.aliases)
    ends, disputed = _ends(lake, exchange, parsed["corporate_actions"], upsert_aliases(known, history))
    history = _over(history, _closed(_over(_rows(known), history), ends))
    aliases = upsert_aliases(known, history).filter(pl.col("kind") == "symbol").select(*ALIAS).unique()
    aliases = pl.concat([aliases, _ended_unseen(exchange, ends, aliases)])
    moves = pl.concat([parted, first.moves, second.moves])
    names = upsert_aliases(known, history).filter((pl.col("kind") == PERMANENT) & ~_never())
    companies = names.select("instrument_id", permanent="value").unique("permanent", keep="last", maintain_order=True)
    refused = pl.concat([first.refused, taken.refused], how="diagonal")
    return RequestNames(aliases, links, history, known, moves, refused, ends, disputed, foreign, companies)


def _never() -> pl.Expr:
    """Whether a name was given up: it ends before it begins."""
    return (pl.col("valid_to") < pl.col("valid_from")).fill_null(value=False)


def _stored(lake: Lake, exchange: str, table: str) -> pl.DataFrame:
    return LakeTable(lake.table_uri(exchange, table), TABLES[table]).read()


def _stated(exchange: str, history: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Aliases that the order's files state: ticker histories, and on top of them renames."""
    stated = aliases_from_history(exchange, history, known)
    symbols = upsert_aliases(known, stated).filter(pl.col("kind") == "symbol")
    renamed = aliases_from_renames(exchange, history, symbols).select(stated.columns)
    return _over(stated, renamed).select(list(ALIAS_ROW))


def _over(names: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """Names with those of `changed` added, and put in the place of those with an equal key."""
    return pl.concat([_rows(names).join(changed, on=_KEY, how="anti", maintain_order="left"), _rows(changed)])


def _rows(names: pl.DataFrame) -> pl.DataFrame:
    return names.select(list(ALIAS_ROW)).cast(ALIAS_ROW)  # type: ignore[arg-type]


def _received(parsed: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([rows.select("batch_id", "received_at") for rows in parsed.values()]).unique("batch_id")


def _late(
    lake: Lake,
    exchange: str,
    claims: pl.DataFrame,
    known: pl.DataFrame,
    stated: pl.DataFrame,
    instruments: pl.DataFrame,
    received: pl.DataFrame,
    parted: pl.DataFrame | None = None,
) -> InstrumentMerges:
    """Late links that these claims lead to, among names on record and stated; rows that `parted` moves away count no more."""
    stored = _rows(known).with_columns(stated=~_assigned(known, instruments, received["batch_id"].to_list()))
    names = pl.concat(
        [stored.join(stated, on=_KEY, how="anti", maintain_order="left"), _rows(stated).with_columns(stated=pl.lit(value=True))]
    )
    given = claims.join(received, on="batch_id", how="left", maintain_order="left")
    gone = pl.DataFrame(schema=MOVE) if parted is None else parted
    return find_instrument_merges(lake, exchange, given, names, received["batch_id"].to_list(), gone)


def _assigned(known: pl.DataFrame, instruments: pl.DataFrame, batches: list[str]) -> pl.Series:
    """Whether a name on record is the ticker under which its instrument was first seen, and no source states so.

    It came with the instrument's row. A rename that ended it since wrote the next name in the same breath. A row that one of
    `batches` closed already belongs to this very order, which was interrupted before it moved the bars.
    """
    closed_here = ~pl.col("is_active") & pl.col("batch_id").is_in(batches)
    first = instruments.select(
        "instrument_id", "valid_from", pl.col("batch_id").alias("__assigned_by"), closed_here.alias("__closed_here")
    )
    next_name = known.select("instrument_id", "batch_id", valid_to=pl.col("valid_from") - timedelta(days=1)).unique()
    rows = known.join(first, on=["instrument_id", "valid_from"], how="left", maintain_order="left").join(
        next_name.with_columns(__renamed=pl.lit(value=True)),
        on=["instrument_id", "batch_id", "valid_to"],
        how="left",
        maintain_order="left",
    )
    came_with = (
        (pl.col("__assigned_by") == pl.col("batch_id"))
        | (pl.col("__assigned_by").is_not_null() & pl.col("__renamed"))
        | pl.col("__closed_here")
    )
    return rows.select(came_with.fill_null(value=False)).to_series()


def _claims_by_isin(exchange: str, links: Links, rows: pl.DataFrame) -> pl.DataFrame:
    """Tickers that an ISIN gives to an instrument of another name, from the day on which the order shows it."""
    plain = pl.format("{}:{}", pl.lit(exchange), pl.col("symbol"))
    foreign = links.pairs.filter((pl.col("instrument_id") != plain) & ~pl.col("instrument_id").str.starts_with(plain + ":"))
    shown = (
        rows.join(foreign.select("symbol", "isin", "instrument_id"), on=["symbol", "isin"], how="inner", maintain_order="left")
        .drop_nulls("session_date")
        .sort("session_date", "batch_id", "row_number")
        .unique(["symbol", "instrument_id"], keep="first", maintain_order=True)
    )
    return shown.select(
        "instrument_id",
        pl.lit("symbol").alias("kind"),
        pl.col("symbol").alias("value"),
        pl.col("session_date").alias("valid_from"),
        pl.lit(None, pl.Date).alias("valid_to"),
        *_ROW,
        pl.lit(value=False).alias("stated"),
    )


def _ends(lake: Lake, exchange: str, actions: pl.DataFrame, aliases: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Instruments that end, on record and by the order's actions; and rows of the latter that stored bars contradict."""
    kinds = (pl.col("action") == "delisting") | ((pl.col("action") == "merger") & pl.col("successor_id").is_not_null())
    stored = _stored(lake, exchange, "corporate_actions").filter(kinds).select(list(_END))
    endings = actions.filter(pl.col("parse_problem").is_null()).drop_nulls(["symbol", "ex_date", "action"])
    endings = endings.with_columns(pl.col("symbol").str.strip_chars().str.to_uppercase(), successor_id="successor").filter(kinds)
    if endings.is_empty():
        return stored, endings.select(_ROW[:2])
    symbols = aliases.filter(pl.col("kind") == "symbol").select(*ALIAS).unique()
    endings = resolve(exchange, endings.with_columns(__day=pl.col("ex_date") - timedelta(days=1)), symbols, "__day")
    endings = endings.filter(~pl.col("ambiguous")).select(list(_END))
    bars = LakeTable(lake.table_uri(exchange, "bars_daily"), TABLES["bars_daily"])
    ending = pl.col("instrument_id").is_in(endings["instrument_id"].implode())
    last = bars.read(columns=["instrument_id", "session_date"], where=ending).group_by("instrument_id").agg(pl.max("session_date"))
    disputed = endings.join(last, on="instrument_id").filter(pl.col("session_date") >= pl.col("ex_date")).select(_ROW[:2])
    kept = endings.join(disputed, on=_ROW[:2], how="anti", maintain_order="left")
    key = ["instrument_id", "ex_date"]
    return pl.concat([stored.join(kept, on=key, how="anti"), kept]), disputed


def _ended_unseen(exchange: str, ends: pl.DataFrame, aliases: pl.DataFrame) -> pl.DataFrame:
    """Tickers of instruments whose end is known before any of their bars."""
    symbol = pl.col("instrument_id").str.strip_prefix(f"{exchange}:")
    unseen = ends.join(aliases, on="instrument_id", how="anti").with_columns(value=symbol)
    first = (
        unseen.filter(~pl.col("value").str.contains(":", literal=True)).group_by("instrument_id", "value").agg(pl.min("ex_date"))
    )
    span = {"valid_from": pl.lit(date.min), "valid_to": pl.col("ex_date") - timedelta(days=1)}
    return first.with_columns(**span).select(*ALIAS)


def _closed(names: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
    """Open tickers of ended instruments, ended on the day before the ex-date."""
    first = ends.sort("ex_date").unique("instrument_id", keep="first", maintain_order=True)
    joined = names.drop(_ROW).filter((pl.col("kind") == "symbol") & pl.col("valid_to").is_null()).join(first, on="instrument_id")
    hit = joined.filter(pl.col("valid_from") < pl.col("ex_date"))
    return _rows(hit.with_columns(valid_to=pl.col("ex_date") - timedelta(days=1)))
