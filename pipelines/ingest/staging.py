"""Staging: from raw files to rows that fit the lake's tables, with every bad row set aside.

Lives here: attaching sessions, identity and known_at to parsed rows, running row rules, counting.
Does not live here: reading the files (`parsing.py`), judging sessions (`gate.py`), writing staged files (`batches.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import polars as pl

from pipelines.identity.aliases import RequestNames, resolve_names
from pipelines.identity.isin import attach
from pipelines.identity.resolve_rows import resolved
from pipelines.identity.ticker_reuse import describe_holders, other_holders
from pipelines.ingest.accounting import count_read
from pipelines.ingest.overrides import overridden_rules, undecided, with_overrides
from pipelines.ingest.parsing import Parsed, parse_deliveries, with_notes
from pipelines.ingest.quarantine import quarantine_rows
from pipelines.ingest.reference_rows import stage_reference
from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.staged import SESSION_COLUMN, Counts, Staged
from pipelines.ingest.staging_columns import in_currency_units, known_by_close, place_minutes, stage_columns, without_empty_zeros
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.symbols import is_well_formed
from pipelines.market.tables import BAR_TABLES, TABLES
from pipelines.quality.duplicates import resolve_duplicates
from pipelines.quality.price_continuity import minutes_in_line, with_adjacent_bars
from pipelines.quality.row_rules import MALFORMED_SYMBOL, judge
from pipelines.quality.rows_without_prices import coalesce_with_bars
from pipelines.quality.stale_files import Repeats
from pipelines.quality.traded_basis import actions_not_in_prices, bars_as_traded
from pipelines.quality.wrong_symbol import find_other_instruments
from pipelines.sources.limits import Limits
from pipelines.sources.protocol import Source, histories_begin
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.merge import PROVENANCE_COLUMNS

#: What an instrument_id has behind the ticker where that was used before.
_FIRST_DAY = r":\d{4}-\d{2}-\d{2}$"
#: What a bar shows of tickers.
_SHOWN = ["batch_id", "symbol", "session_date"]

#: Rows that a gate refused before.
_HELD = {"table_name": pl.String, "batch_id": pl.String, "row_number": pl.Int64}

#: Tables whose rows obey the rules of another one.
_JUDGED_AS = {"bars_1m_extended": "bars_1m", "bars_other_series": "bars_daily"}


def stage(lake: Lake, order: IngestRequest, sources: Mapping[str, Source], *, limits: Limits) -> Staged:
    """Parse and judge an order's deliveries. Nothing is written. `limits`: how much one file may take."""
    return stage_parsed(lake, order, sources, parse_deliveries(lake, order, sources, limits=limits))


def stage_parsed(
    lake: Lake, order: IngestRequest, sources: Mapping[str, Source], content: Parsed, held: pl.DataFrame | None = None
) -> Staged:
    """Judge what an order's files hold (`content`). Nothing is written, and `content` stays as it is.

    Rules that a person overruled for a row do not count for it. Of an order with a decision only the rows it lets in are staged, or
    set aside by another rule. Rows that a gate refused before (`held`: table_name, batch_id, row_number) name no instrument.
    """
    days = lake.calendar(order.exchange)
    parsed, files = content.tables, content.files
    held = pl.DataFrame(schema=_HELD) if held is None else held
    priorities = {name: source.priority for name, source in sources.items()}
    lags = {name: source.publication_lag for name, source in sources.items()}
    actions = _actions(lake, order.exchange, parsed)
    naming, misnamed = _naming_rows(parsed, held)
    begin = histories_begin(sources)
    names = resolve_names(lake, order.exchange, naming, actions, begin, follow=order.decision is None)

    placed = _place(order, parsed, days, lags)
    shown = pl.concat([placed[table].filter("within_calendar").select(_SHOWN) for table in BAR_TABLES])
    others = other_holders(order.exchange, shown.select("symbol", "session_date"), names.aliases, names.foreign)
    notes = describe_holders(shown, others, names.aliases, names.companies)
    prepared = _with_stale(resolved(order.exchange, placed, shown, names, others, begin), content.repeats)
    for table in ("bars_daily", "bars_other_series"):
        prepared[table] = coalesce_with_bars(lake, order.exchange, table, prepared[table])
    daily, minutes = attach(prepared["bars_daily"], names.links), prepared["bars_1m"]
    slips = find_other_instruments(lake, order.exchange, daily, minutes)
    files = [with_notes(f, *(by_batch.get(f.delivery.batch_id) for by_batch in (notes, slips))) for f in files]
    prepared["bars_daily"] = with_adjacent_bars(lake, order.exchange, daily, actions, minutes)
    prepared["bars_1m"] = minutes_in_line(lake, days, minutes, daily, actions)
    for table in ("bars_other_series", "bars_1m_extended"):
        prepared[table] = prepared[table].with_columns(in_line=pl.lit(None, pl.Boolean))
    bases = {file.delivery.batch_id: file.price_basis for file in files}
    prepared = {t: bars_as_traded(rows, bases, actions) if t in BAR_TABLES else rows for t, rows in prepared.items()}
    prepared["corporate_actions"] = actions_not_in_prices(lake, order.exchange, prepared["corporate_actions"])
    staged = Staged({}, empty_frame(TABLES["quarantine"]), files)
    bad: list[pl.DataFrame] = []
    read: list[pl.DataFrame] = []
    overridden = overridden_rules(lake, order.exchange, order.decision)
    for table, delivered in prepared.items():
        rows = with_overrides(delivered, overridden, table)
        good, faulty = judge(_JUDGED_AS.get(table, table), rows)
        schema = TABLES[table]
        values = [c for c in schema.names if c not in {*schema.key, *PROVENANCE_COLUMNS} and c in good.columns]
        kept, dropped, refused = resolve_duplicates(good, schema.key, values, priorities, schema.completed)
        if order.decision is not None:
            chosen = undecided(lake, order.exchange, order.decision.selection).filter(pl.col("table_name") == table)
            rows, kept, faulty, refused = (
                frame.join(chosen, on=["batch_id", "row_number"], how="semi", maintain_order="left")
                for frame in (rows, kept, faulty, refused)
            )
            dropped = rows.height - kept.height - faulty.height - refused.height
        read.append(count_read(table, rows))
        bad += [quarantine_rows(order.exchange, table, frame) for frame in (faulty, refused)]
        staged.tables[table] = stage_columns(schema, kept)
        staged.counts[table] = Counts(rows.height, dropped, faulty.height + refused.height)
    if order.decision is not None:
        let_in = pl.concat([rows.select("instrument_id") for rows in staged.tables.values()]).to_series()
        names = replace(names, history=names.history.filter(pl.col("instrument_id").is_in(let_in.implode())))
    bad.append(stage_reference(lake, order, staged, replace(names, refused=_refused_names(names, misnamed)), held, others))
    return replace(staged, quarantine=pl.concat(bad), moves=names.moves, read=pl.concat(read))


def _naming_rows(parsed: Mapping[str, pl.DataFrame], held: pl.DataFrame) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """The parsed rows that may name instruments, and the rows of ticker histories whose tickers are malformed."""
    shown = held.filter(pl.col("table_name").is_in(BAR_TABLES)).select("batch_id", "row_number").unique()
    naming = {}
    for table, rows in parsed.items():
        tickers = [pl.col(c) for c in ("symbol", "permanent", "renamed_from", "successor") if c in rows.columns]
        if "new_instrument" in rows.columns:
            tickers.append(pl.col("new_instrument").str.replace(_FIRST_DAY, ""))
        sound = pl.all_horizontal(
            is_well_formed(ticker.str.strip_chars().str.to_uppercase()).fill_null(value=True) for ticker in tickers
        )
        naming[table] = rows.filter(sound).join(shown, on=["batch_id", "row_number"], how="anti", maintain_order="left")
    history = parsed["symbol_history"]
    row = ["batch_id", "row_number"]
    return naming, history.join(naming["symbol_history"], on=row, how="anti", maintain_order="left")


def _refused_names(names: RequestNames, misnamed: pl.DataFrame) -> pl.DataFrame:
    """Stated names to set aside, with `rule` and `reason`: what stored bars contradict, and what names nothing."""
    ambiguous = names.refused.with_columns(rule=pl.lit("identity_ambiguous"))
    malformed = misnamed.with_columns(rule=pl.lit("malformed_symbol"), reason=pl.lit(MALFORMED_SYMBOL))
    return pl.concat([ambiguous, malformed], how="diagonal_relaxed")


def _with_stale(prepared: dict[str, pl.DataFrame], repeats: Repeats) -> dict[str, pl.DataFrame]:
    """The tables of bars with `stale`: whether the row belongs to a session that is a copy of another one."""
    found = {}
    for table, rows in prepared.items():
        if table not in BAR_TABLES:
            found[table] = rows
            continue
        minutes = table.startswith("bars_1m")
        key = ["batch_id", "session_date", *(["symbol"] if minutes else [])]
        copied = repeats.sessions.filter(pl.col("table") == ("bars_1m" if minutes else "bars_daily")).select(key).unique()
        marked = rows.join(copied.with_columns(stale=pl.lit(value=True)), on=key, how="left", maintain_order="left")
        found[table] = marked.with_columns(pl.col("stale").fill_null(value=False))
    return found


def _actions(lake: Lake, exchange: str, parsed: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Corporate actions on record and in this order: instrument_id, ex_date, action."""
    columns = ["instrument_id", "ex_date", "action"]
    stored = LakeTable(lake.table_uri(exchange, "corporate_actions"), TABLES["corporate_actions"]).read(columns=columns)
    assigned = pl.format("{}:{}", pl.lit(exchange), pl.col("symbol").str.to_uppercase()).alias("instrument_id")
    return pl.concat([stored.select(columns), parsed["corporate_actions"].with_columns(assigned).select(columns)])


def _figures(rows: pl.DataFrame, days: ExchangeCalendar) -> pl.DataFrame:
    """Daily rows whose figures mean the same whichever source wrote them."""
    return in_currency_units(without_empty_zeros(rows), days.exchange.currency)


def _place(
    order: IngestRequest, parsed: Mapping[str, pl.DataFrame], days: ExchangeCalendar, lags: Mapping[str, timedelta]
) -> dict[str, pl.DataFrame]:
    """Rows of the order's sessions by lake table, with sessions and known_at, and without instruments yet."""
    upper = pl.col("symbol").str.strip_chars().str.to_uppercase().alias("symbol")
    daily, other = (
        known_by_close(_figures(parsed[table].with_columns(upper), days), days, lags)
        for table in ("bars_daily", "bars_other_series")
    )
    minute = place_minutes(parsed["bars_1m"].with_columns(upper), days)
    actions = parsed["corporate_actions"].with_columns(upper)
    midnight = pl.coalesce("announced", "ex_date").cast(pl.Datetime("us")).dt.replace_time_zone(days.exchange.timezone)
    actions = actions.with_columns(midnight.dt.convert_time_zone("UTC").alias("known_at"))
    regular = pl.col("segment").fill_null("regular") == "regular"
    placed = {
        "bars_daily": daily,
        "bars_other_series": other,
        "bars_1m": minute.filter(regular),
        "bars_1m_extended": minute.filter(~regular),
        "corporate_actions": actions,
    }
    if order.sessions is None:
        return placed
    return {table: rows.filter(pl.col(SESSION_COLUMN[table]).is_in(list(order.sessions))) for table, rows in placed.items()}
