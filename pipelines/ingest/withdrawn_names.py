"""Names after a withdrawal: which tickers and instruments follow from what other deliveries say.

Lives here: `settle_names`, the last step of a withdrawal.
Does not live here: taking out what the delivery itself said of names (`storage/withdraw.py`), how names are learned
(`identity/aliases.py`).

What the delivery said of names has an effect on rows of others: a ticker was given an end when it was first seen, bars of a ticker
went to the instrument that a rename tied it to. Every step reads what the withdrawal has taken out, so that a second run completes
the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from pipelines.identity.isin import ALIAS_ROW
from pipelines.identity.resolve import ALIAS, first_seen, resolve, tickers_seen
from pipelines.ingest.staging_columns import reference_rows
from pipelines.ingest.withdrawal_records import Withdrawal
from pipelines.market.tables import BAR_TABLES, TABLES
from pipelines.storage.delta import Change, LakeTable, PartitionValue, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.reassign import MOVE, move_rows
from pipelines.storage.upsert import append_new, keep_superseded
from pipelines.storage.withdrawn import WITHDRAWAL

_REFERENCE = ("instruments", "instrument_aliases")
_SEEN = ["instrument_id", "symbol", "session_date", "source", "batch_id", "row_number", "known_at"]
_DAY = timedelta(days=1)


def settle_names(lake: Lake, exchange: str, withdrawal: Withdrawal) -> None:
    """Give tickers the ends, bars the instruments and instruments the names that they have without the withdrawn delivery."""
    taken_out = {name: _taken_out(lake, exchange, name, withdrawal) for name in (*_REFERENCE, "corporate_actions")}
    tickers = taken_out["instrument_aliases"].filter(pl.col("kind") == "symbol")
    ends = taken_out["corporate_actions"].filter(pl.col("action").is_in(["delisting", "merger"]))
    _open_again(lake, exchange, withdrawal, tickers, ends)
    given_to = _give_back(lake, exchange, withdrawal, tickers)
    concerned = pl.concat([*(taken_out[name].select("instrument_id") for name in _REFERENCE), given_to]).unique()
    if concerned.height:
        _name(lake, exchange, withdrawal, concerned)


def _taken_out(lake: Lake, exchange: str, table: str, withdrawal: Withdrawal) -> pl.DataFrame:
    schema = TABLES[f"{table}_superseded"]
    marked = pl.col("superseded_by_batch") == f"{WITHDRAWAL}{withdrawal.batch_id}"
    return LakeTable(lake.table_uri(exchange, schema.name), schema).read(where=marked)


def _open_again(lake: Lake, exchange: str, withdrawal: Withdrawal, tickers: pl.DataFrame, ends: pl.DataFrame) -> None:
    """Tickers of other deliveries that ended where the withdrawn one began another, or ended the listing."""
    began = tickers.select("instrument_id", (pl.col("valid_from") - _DAY).alias("valid_to"))
    ended = ends.select("instrument_id", (pl.col("ex_date") - _DAY).alias("valid_to"))
    cut = pl.concat([began, ended]).unique()
    if cut.is_empty():
        return
    schema = TABLES["instrument_aliases"]
    at = pl.lit(withdrawal.withdrawn_at)

    def decide(read: Callable[[Sequence[PartitionValue] | None], pl.DataFrame]) -> Change:
        stored = read(None)
        closed = stored.filter(pl.col("kind") == "symbol").join(cut, on=["instrument_id", "valid_to"], how="semi")
        key = list(schema.key)
        if closed.is_empty():
            return Change(stored, [])
        starts = stored.filter(pl.col("kind") == "symbol").select("instrument_id", pl.col("valid_from").alias("__next"))
        later = closed.join(starts, on="instrument_id").filter(pl.col("__next") > pl.col("valid_from"))
        until = later.group_by(key).agg((pl.col("__next").min() - _DAY).alias("__until"))
        opened = closed.join(until, on=key, how="left", maintain_order="left").filter(
            pl.col("__until").ne_missing(pl.col("valid_to"))
        )
        if opened.is_empty():
            return Change(stored, [])
        old = opened.drop("__until").with_columns(
            superseded_at=at, superseded_by_batch=pl.lit(f"{WITHDRAWAL}{withdrawal.batch_id}")
        )
        keep_superseded(lake, exchange, schema, old)
        now = opened.with_columns(valid_to="__until", known_at=pl.max_horizontal("known_at", at)).select(schema.names)
        return Change(pl.concat([stored.join(now.select(key), on=key, how="anti", maintain_order="left"), now]), None)

    LakeTable(lake.table_uri(exchange, schema.name), schema).update(decide, {"why": "withdrawal"})


def _give_back(lake: Lake, exchange: str, withdrawal: Withdrawal, tickers: pl.DataFrame) -> pl.DataFrame:
    """Bars that others delivered under a ticker that the withdrawn delivery had tied to an instrument go to the ticker's own one.

    Returns the instruments that got some. A delivery of bars ties tickers by their ISIN, as the other's bars do themselves: what it
    tied stays.
    """
    receivers = pl.DataFrame(schema={"instrument_id": pl.String})
    plain = pl.format("{}:{}", pl.lit(exchange), pl.col("value"))
    own = (pl.col("instrument_id") == plain) | pl.col("instrument_id").str.starts_with(plain + ":")
    tied = tickers.filter(~own).select("instrument_id", symbol="value").unique(maintain_order=True)
    if tied.is_empty() or any(_brought(lake, exchange, name, withdrawal) for name in BAR_TABLES):
        return receivers
    aliases = LakeTable(lake.table_uri(exchange, "instrument_aliases"), TABLES["instrument_aliases"]).read()
    symbols = aliases.filter(pl.col("kind") == "symbol").select(*ALIAS)
    shown = _bars_of(lake, exchange, tied.select("instrument_id")).join(tied, on=["instrument_id", "symbol"], how="semi")
    days = shown.select("symbol", "session_date", __held="instrument_id").unique(maintain_order=True)
    found = resolve(exchange, days, symbols, "session_date").filter(
        ~pl.col("ambiguous") & (pl.col("instrument_id") != pl.col("__held"))
    )
    spans = found.group_by("__held", "instrument_id", "symbol", maintain_order=True).agg(
        first=pl.col("session_date").min(), last=pl.col("session_date").max()
    )
    provenance: dict[str, Any] = {
        "resumes": None,
        "ticker": None,
        "batch_id": f"{WITHDRAWAL}{withdrawal.batch_id}",
        "row_number": 0,
        "source": "",
        "received_at": withdrawal.withdrawn_at,
    }
    moves = pl.DataFrame(
        [
            {"from_id": held, "to_id": holder, "first_session": first, "last_session": last, "symbol": symbol, **provenance}
            for held, holder, symbol, first, last in spans.sort("__held", "symbol", "first").iter_rows()
        ],
        schema=MOVE,
    )
    if moves.is_empty():
        return receivers
    for name in BAR_TABLES:
        move_rows(lake, exchange, TABLES[name], moves, "session_date")
    return moves.select(instrument_id="to_id").unique(maintain_order=True)


def _brought(lake: Lake, exchange: str, table: str, withdrawal: Withdrawal) -> bool:
    """Whether the withdrawn delivery had rows of its own in the table."""
    return bool((_taken_out(lake, exchange, table, withdrawal)["batch_id"] == withdrawal.batch_id).any())


def _name(lake: Lake, exchange: str, withdrawal: Withdrawal, concerned: pl.DataFrame) -> None:
    """Instruments and tickers that bars show and nothing names any more, from these bars on."""
    instruments, aliases = (LakeTable(lake.table_uri(exchange, name), TABLES[name]).read() for name in _REFERENCE)
    seen = _bars_of(lake, exchange, concerned).with_columns(received_at=pl.lit(withdrawal.withdrawn_at))
    listed, named = reference_rows(
        exchange,
        first_seen(seen),
        tickers_seen(seen),
        pl.DataFrame(schema=dict(ALIAS_ROW)),
        instruments.select("instrument_id"),
        aliases.filter(pl.col("kind") == "symbol"),
        {},
    )
    known = pl.max_horizontal("known_at", pl.lit(withdrawal.withdrawn_at)).alias("known_at")
    for name, rows in zip(_REFERENCE, (listed, named), strict=True):
        types = empty_frame(TABLES[name]).schema
        columns = [(pl.col(c) if c in rows.columns else pl.lit(None)).cast(kind).alias(c) for c, kind in types.items()]
        append_new(lake, exchange, TABLES[name], rows.with_columns(known).select(columns), {"why": "withdrawal"})


def _bars_of(lake: Lake, exchange: str, instruments: pl.DataFrame) -> pl.DataFrame:
    """Of the stored bars of these instruments the first row of each ticker and session."""
    theirs = pl.col("instrument_id").is_in(instruments["instrument_id"].implode())
    parts = [LakeTable(lake.table_uri(exchange, name), TABLES[name]).read(columns=_SEEN, where=theirs) for name in BAR_TABLES]
    shown = pl.concat(parts).sort("session_date", "known_at", "batch_id", "row_number")
    return shown.unique(["instrument_id", "symbol", "session_date"], keep="first", maintain_order=True)
