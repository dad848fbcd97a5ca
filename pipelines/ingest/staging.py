"""Staging: from raw files to rows that fit the lake's tables, with every bad row set aside.

Lives here: the order of the steps: names, sessions, instruments, what the rules are asked, reference rows.
Does not live here: reading the files (`parsing.py`), minutes (`minute_staging.py`), running the rules on a table's rows
(`row_judging.py`), judging sessions (`gate.py`), writing staged files (`batches.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import polars as pl

from pipelines.identity.aliases import RequestNames, resolve_names
from pipelines.identity.isin import attach
from pipelines.identity.resolve_rows import names_in_force, resolve_actions, resolve_bars
from pipelines.identity.ticker_reuse import describe_holders, other_holders
from pipelines.ingest.minute_staging import UPPER, MinuteStaging, not_in_line, of_sessions, with_stale
from pipelines.ingest.parsing import Parsed, parse_deliveries, with_notes
from pipelines.ingest.reference_rows import stage_reference
from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.row_judging import RowJudge
from pipelines.ingest.staged import Staged
from pipelines.ingest.staging_columns import (
    in_currency_units,
    known_by_close,
    within_calendar,
    without_empty_zeros,
)
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.symbols import is_well_formed
from pipelines.market.tables import BAR_TABLES, TABLES
from pipelines.quality.price_continuity import with_adjacent_bars
from pipelines.quality.row_rules import MALFORMED_SYMBOL
from pipelines.quality.rows_without_prices import coalesce_with_bars
from pipelines.quality.traded_basis import actions_not_in_prices, bars_as_traded
from pipelines.quality.wrong_symbol import find_other_instruments
from pipelines.sources.limits import Limits
from pipelines.sources.protocol import Source, histories_begin
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake

#: What an instrument_id has behind the ticker where that was used before.
_FIRST_DAY = r":\d{4}-\d{2}-\d{2}$"
#: What a bar shows of tickers.
_SHOWN = ["batch_id", "symbol", "session_date"]

#: Rows that a gate refused before.
_HELD = {"table_name": pl.String, "batch_id": pl.String, "row_number": pl.Int64}
_DAILY = ("bars_daily", "bars_other_series")


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
    lags = {name: source.publication_lag for name, source in sources.items()}
    actions = _actions(lake, order.exchange, parsed)
    naming, misnamed = _naming_rows(content, held)
    begin = histories_begin(sources)
    names = resolve_names(lake, order.exchange, naming, actions, begin, follow=order.decision is None)

    placed = _place(order, parsed, days, lags)
    shown = pl.concat([*(_shown(placed[table]) for table in _DAILY), _shown_by_minutes(order, content, days)])
    others = other_holders(order.exchange, shown.select("symbol", "session_date"), names.aliases, names.foreign)
    notes = describe_holders(shown, others, names.aliases, names.companies)
    aliases = names_in_force(order.exchange, shown, names, others)
    daily, other = (
        coalesce_with_bars(
            lake, order.exchange, table, with_stale(table, resolve_bars(order.exchange, placed[table], aliases), content.repeats)
        )
        for table in _DAILY
    )
    daily = attach(daily, names.links)
    bases = {file.delivery.batch_id: file.price_basis for file in files}
    judge = RowJudge.for_order(lake, order, sources, held)
    minutes = MinuteStaging(lake, order, days, aliases, daily, actions, bases, judge).stage(content)
    slips = find_other_instruments(lake, order.exchange, daily, minutes.closes)
    files = [with_notes(f, *(by_batch.get(f.delivery.batch_id) for by_batch in (notes, slips))) for f in files]
    prepared = {
        "bars_daily": bars_as_traded(with_adjacent_bars(lake, order.exchange, daily, actions, minutes.ranges), bases, actions),
        "bars_other_series": bars_as_traded(not_in_line(other), bases, actions),
        "corporate_actions": actions_not_in_prices(
            lake,
            order.exchange,
            resolve_actions(order.exchange, placed["corporate_actions"], aliases, names, begin),
        ),
    }
    judged = {table: judge.judge_rows(table, rows) for table, rows in prepared.items()} | minutes.judged
    staged = Staged({}, empty_frame(TABLES["quarantine"]), files, moves=names.moves, spilled=minutes.spilled)
    for table in (*BAR_TABLES, "corporate_actions"):
        staged.counts[table] = judged[table].counts
        if table not in staged.spilled:
            staged.tables[table] = judged[table].kept
    if order.decision is not None:
        let_in = pl.concat([rows.select("instrument_id") for rows in staged.tables.values()]).to_series()
        names = replace(names, history=names.history.filter(pl.col("instrument_id").is_in(let_in.implode())))
    seen = pl.concat([judged[table].shown for table in BAR_TABLES])
    refused = stage_reference(lake, order, staged, replace(names, refused=_refused_names(names, misnamed)), seen, others)
    quarantine = pl.concat([*(frame for table in judged for frame in judged[table].bad), refused])
    read = pl.concat([judged[table].read for table in (*BAR_TABLES, "corporate_actions")])
    return replace(staged, quarantine=quarantine, read=read)


def _naming_rows(content: Parsed, held: pl.DataFrame) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """The parsed rows that may name instruments, and the rows of ticker histories whose tickers are malformed.

    Of minutes only batch_id and received_at of the deliveries that have any: they name nothing themselves.
    """
    row = ["batch_id", "row_number"]
    shown = held.filter(pl.col("table_name").is_in(BAR_TABLES)).select(row).unique()

    def well_formed(rows: pl.DataFrame) -> pl.DataFrame:
        tickers = [pl.col(c) for c in ("symbol", "permanent", "renamed_from", "successor") if c in rows.columns]
        if "new_instrument" in rows.columns:
            tickers.append(pl.col("new_instrument").str.replace(_FIRST_DAY, ""))
        well = (is_well_formed(ticker.str.strip_chars().str.to_uppercase()).fill_null(value=True) for ticker in tickers)
        return rows.filter(pl.all_horizontal(well))

    def sound(rows: pl.DataFrame) -> pl.DataFrame:
        return well_formed(rows).join(shown, on=row, how="anti", maintain_order="left")

    naming = {table: sound(rows) for table, rows in content.tables.items()}
    of_minutes = well_formed(content.minutes.counted()).select("batch_id").unique()
    if of_minutes.join(shown, on="batch_id", how="semi").height:
        parts = content.minutes.parts([*row, "symbol"])
        of_minutes = pl.concat([sound(rows).select("batch_id").unique() for rows in parts]).unique()
    arrived = {file.delivery.batch_id: file.delivery.received_at for file in content.files}
    received = pl.col("batch_id").replace_strict(arrived, return_dtype=pl.Datetime("us", "UTC"))
    naming["bars_1m"] = of_minutes.with_columns(received_at=received)
    history = content.tables["symbol_history"]
    return naming, history.join(naming["symbol_history"], on=row, how="anti", maintain_order="left")


def _refused_names(names: RequestNames, misnamed: pl.DataFrame) -> pl.DataFrame:
    """Stated names to set aside, with `rule` and `reason`: what stored bars contradict, and what names nothing."""
    ambiguous = names.refused.with_columns(rule=pl.lit("identity_ambiguous"))
    malformed = misnamed.with_columns(rule=pl.lit("malformed_symbol"), reason=pl.lit(MALFORMED_SYMBOL))
    return pl.concat([ambiguous, malformed], how="diagonal_relaxed")


def _shown(rows: pl.DataFrame) -> pl.DataFrame:
    """How many `rows` a delivery has of a ticker in a session, within the calendar."""
    return rows.filter("within_calendar").group_by(_SHOWN).agg(rows=pl.len())


def _shown_by_minutes(order: IngestRequest, content: Parsed, days: ExchangeCalendar) -> pl.DataFrame:
    counted = within_calendar(content.minutes.counted().rename({"day": "session_date"}).with_columns(UPPER), days)
    known = of_sessions(order, "bars_1m", counted).filter("within_calendar")
    return known.group_by(_SHOWN).agg(pl.col("rows").sum())


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
    """Daily bars and actions of the order's sessions by lake table, with sessions and known_at, and without instruments yet."""
    placed = {table: known_by_close(_figures(parsed[table].with_columns(UPPER), days), days, lags) for table in _DAILY}
    actions = parsed["corporate_actions"].with_columns(UPPER)
    midnight = pl.coalesce("announced", "ex_date").cast(pl.Datetime("us")).dt.replace_time_zone(days.exchange.timezone)
    placed["corporate_actions"] = actions.with_columns(midnight.dt.convert_time_zone("UTC").alias("known_at"))
    return {table: of_sessions(order, table, rows) for table, rows in placed.items()}
