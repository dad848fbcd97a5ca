"""Staging of minutes, the rows that may be too many for memory: part by part, each of whole sessions.

Lives here: `MinuteStaging`, and the steps that minutes share with other bars.
Does not live here: the order of all steps (`staging.py`), the rules (`row_judging.py`), making the parts (`storage/row_parts.py`).

What other tables ask of all minutes (closes, ranges, tickers shown) is asked of figures by session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from pipelines.identity.resolve_rows import resolve_bars
from pipelines.ingest.parsing import Parsed
from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.row_judging import Judged, RowJudge
from pipelines.ingest.staged import SESSION_COLUMN
from pipelines.ingest.staging_columns import place_minutes
from pipelines.market.calendar import ExchangeCalendar
from pipelines.quality.price_continuity import first_priced, minute_ranges, minutes_in_line
from pipelines.quality.stale_files import Repeats
from pipelines.quality.traded_basis import bars_as_traded
from pipelines.quality.wrong_symbol import session_closes
from pipelines.storage.location import Lake
from pipelines.storage.row_parts import PartWriter, RowParts

#: Tickers as they are compared.
UPPER = pl.col("symbol").str.strip_chars().str.to_uppercase().alias("symbol")
_MINUTES = ("bars_1m", "bars_1m_extended")


@dataclass(frozen=True)
class StagedMinutes:
    """Minutes, judged: what was kept (but for the rows of tables in `spilled`), and what other tables ask of them."""

    judged: dict[str, Judged]
    spilled: dict[str, RowParts]
    closes: pl.DataFrame
    ranges: pl.DataFrame


@dataclass(frozen=True)
class MinuteStaging:
    """What the minutes of an order are staged by."""

    lake: Lake
    order: IngestRequest
    days: ExchangeCalendar
    aliases: pl.DataFrame
    daily: pl.DataFrame
    actions: pl.DataFrame
    bases: Mapping[str, str | None]
    judge: RowJudge

    def stage(self, content: Parsed) -> StagedMinutes:
        """Each part in turn: sessions, instruments, rules."""
        spills = content.minutes.spilled and content.scratch is not None
        folders = {table: content.scratch / table if spills and content.scratch else None for table in _MINUTES}
        kept = {table: PartWriter(folder) for table, folder in folders.items()}
        judged: dict[str, list[Judged]] = {table: [] for table in _MINUTES}
        closes, ranges = [], []
        since: date | None = None
        for part in content.minutes.parts():
            placed = place_minutes(part.with_columns(UPPER), self.days)
            regular = pl.col("segment").fill_null("regular") == "regular"
            for table, chosen in zip(_MINUTES, (regular, ~regular), strict=True):
                rows = of_sessions(self.order, table, placed.filter(chosen))
                rows = with_stale(table, resolve_bars(self.order.exchange, rows, self.aliases), content.repeats)
                if table == "bars_1m":
                    closes.append(session_closes(rows))
                    ranges.append(minute_ranges(rows))
                    since = since or first_priced(rows)
                    rows = minutes_in_line(self.lake, self.days, rows, self.daily, self.actions, since)
                else:
                    rows = not_in_line(rows)
                found = self.judge.judge_rows(table, bars_as_traded(rows, self.bases, self.actions))
                kept[table].add(found.kept)
                judged[table].append(replace(found, kept=found.kept.clear()) if spills else found)
        spilled = {table: writer.written() for table, writer in kept.items()} if spills else {}
        together = {table: Judged.together(parts) for table, parts in judged.items()}
        return StagedMinutes(together, spilled, pl.concat(closes), pl.concat(ranges))


def with_stale(table: str, rows: pl.DataFrame, repeats: Repeats) -> pl.DataFrame:
    """Bars with `stale`: whether the row belongs to a session that is a copy of another one."""
    minutes = table in _MINUTES
    key = ["batch_id", "session_date", *(["symbol"] if minutes else [])]
    copied = repeats.sessions.filter(pl.col("table") == ("bars_1m" if minutes else "bars_daily")).select(key).unique()
    marked = rows.join(copied.with_columns(stale=pl.lit(value=True)), on=key, how="left", maintain_order="left")
    return marked.with_columns(pl.col("stale").fill_null(value=False))


def not_in_line(rows: pl.DataFrame) -> pl.DataFrame:
    """Bars of a table that is held against no others."""
    return rows.with_columns(in_line=pl.lit(None, pl.Boolean))


def of_sessions(order: IngestRequest, table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of the order's sessions."""
    return rows if order.sessions is None else rows.filter(pl.col(SESSION_COLUMN[table]).is_in(list(order.sessions)))
