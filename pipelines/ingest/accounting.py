"""What became of an order's rows, by rule, session and file.

Lives here: counting the rows that rules, gate and merge held back, and telling which sessions and shares of files they make up.
Does not live here: the rules (`quality/row_rules.py`, `gate.py`, `storage/merge.py`), where counts are kept (`batches.py`),
printing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import polars as pl

from pipelines.ingest.staged import SESSION_COLUMN
from pipelines.market.calendar import ExchangeCalendar, calendar
from pipelines.market.tables import BAR_TABLES

#: Rows read, by table, delivery and session.
READ: Final = {"table_name": pl.String, "batch_id": pl.String, "session_date": pl.Date, "rows": pl.Int64}
#: Rows held back, by rule too; `row_number` is that of the first one.
HELD: Final = {**READ, "rule": pl.String, "row_number": pl.Int64}
#: A session of which a file has one row is no more than that row.
_LEAST_ROWS: Final = 2


@dataclass(frozen=True)
class Account:
    """An order's rows that stayed out.

    `rules`: a dict per table and rule with `rows`, `sessions`, `first_session`, `last_session`, and `batch_id`, `row_number` of one
    row, most rows first. `sessions`: a dict per session of which a file has several bars and none was let in, with `table`,
    `session`, `path`, `rows`, `rules`. `files`: `path`, `rows`, `quarantined`, `share` of every file that has rows in quarantine.
    `warnings`: expectations that failed without refusing anything, with `table`, `expectation`, `rows` and a `sample`.
    """

    rules: Sequence[Mapping[str, Any]] = ()
    sessions: Sequence[Mapping[str, Any]] = ()
    files: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[Mapping[str, Any]] = field(default=())

    def files_over(self, most: float) -> list[Mapping[str, Any]]:
        """Files of whose rows more than the share `most` (0 to 1) is in quarantine."""
        return [file for file in self.files if file["share"] > most]

    def faults(self, most: float) -> list[str]:
        """What makes the delivery a bad one, a sentence each: whole sessions that stayed out, files beyond the share `most`."""
        whole = [
            f"{entry['path']}: all {entry['rows']:,} rows of {entry['session']} in {entry['table']}: {' and '.join(entry['rules'])}"
            for entry in self.sessions
        ]
        shares = [
            f"{file['path']}: {file['quarantined']:,} of {file['rows']:,} rows are in quarantine ({file['share']:.1%}), more than "
            f"MARKETLAKE_MAX_QUARANTINED_SHARE={most:g}"
            for file in self.files_over(most)
        ]
        return [*whole, *shares]

    def is_bad(self, most: float) -> bool:
        """Whether a whole session, or more than the share `most` of a file, stayed out."""
        return bool(self.faults(most))

    def exit_code(self, files: Iterable[Mapping[str, Any]], refused: Mapping[str, Any], most: float) -> int:
        """1 when a file or a session was refused, or more stayed out than single bad rows; `files` as in the contract's JSON."""
        return int(bool(refused) or any(file["status"] == "refused" for file in files) or self.is_bad(most))


def count_read(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows (columns of `READ`) by delivery and session."""
    day = pl.col(SESSION_COLUMN[table]).alias("session_date")
    counted = rows.group_by("batch_id", day).agg(pl.len().cast(pl.Int64).alias("rows"))
    return counted.select(pl.lit(table).alias("table_name"), "batch_id", "session_date", "rows").sort("batch_id", "session_date")


def count_held(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a `rule` (columns of `HELD`) by delivery, session and rule."""
    if rows.is_empty():
        return pl.DataFrame(schema=HELD)
    named = rows.select(
        pl.lit(table).alias("table_name"), "batch_id", pl.col(SESSION_COLUMN[table]).alias("session_date"), "rule", "row_number"
    )
    return count_quarantined(named)


def count_quarantined(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of the quarantine table (columns of `HELD`) by table, delivery, session and rule."""
    by = ["table_name", "batch_id", "session_date", "rule"]
    counted = rows.group_by(by).agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("row_number").min())
    return counted.select(*HELD).sort(by)


def by_session(read: pl.DataFrame, held: pl.DataFrame) -> dict[date, dict[str, Any]]:
    """`rows_read`, `rows_quarantined` and, where rows stayed out, `quarantined`: the rules with their rows, by session."""
    figures: dict[date, dict[str, Any]] = {}
    for day, rows in read.group_by("session_date").agg(pl.col("rows").sum()).drop_nulls().sort("session_date").iter_rows():
        figures[day] = {"rows_read": rows, "rows_quarantined": 0}
    counted = held.drop_nulls("session_date").group_by("session_date", "table_name", "rule").agg(pl.col("rows").sum())
    for day, table, rule, rows in counted.sort("session_date", "table_name", "rule").iter_rows():
        entry = figures.setdefault(day, {"rows_read": 0, "rows_quarantined": 0})
        entry["rows_quarantined"] += rows
        reason = f"{table}: {rule}: {rows:,} rows"
        entry["quarantined"] = f"{entry['quarantined']}; {reason}" if "quarantined" in entry else reason
    return figures


def account_of(
    exchange: str,
    read: pl.DataFrame,
    held: pl.DataFrame,
    names: Mapping[str, str],
    warnings: Sequence[Mapping[str, Any]],
    calendars: Path | None = None,
) -> Account:
    """The account of an order from its counts (columns of `READ` and `HELD`). `names`: file by delivery.

    `calendars`: the home's folder of calendars; None: those that ship.
    """
    return Account(
        _by_rule(held), _whole_sessions(calendar(exchange, calendars), read, held, names), _by_file(read, held, names), warnings
    )


def _by_rule(held: pl.DataFrame) -> list[dict[str, Any]]:
    day = pl.col("session_date")
    counted = (
        held.sort("table_name", "rule", "session_date", "batch_id", nulls_last=True)
        .group_by("table_name", "rule", maintain_order=True)
        .agg(
            pl.col("rows").sum(),
            day.n_unique().alias("sessions"),
            day.min().alias("first_session"),
            day.max().alias("last_session"),
            pl.col("batch_id", "row_number").first(),
        )
    )
    found = counted.sort("rows", descending=True, maintain_order=True).rename({"table_name": "table"}).to_dicts()
    return [{name: str(value) if name.endswith("session") and value else value for name, value in row.items()} for row in found]


def _whole_sessions(
    days: ExchangeCalendar, read: pl.DataFrame, held: pl.DataFrame, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    by = ["table_name", "batch_id", "session_date"]
    out = (
        held.filter(pl.col("table_name").is_in(BAR_TABLES))
        .group_by(by)
        .agg(held_rows=pl.col("rows").sum(), rules=pl.col("rule").unique())
    )
    whole = read.join(out, on=by).filter((pl.col("held_rows") >= pl.col("rows")) & (pl.col("rows") >= _LEAST_ROWS))
    # A day that is no session, 1970 too, loses none.
    sessions = days.frame().select("session_date")
    lost = whole.join(sessions, on="session_date", how="semi").sort(by)
    return [
        {
            "table": row["table_name"],
            "session": str(row["session_date"]),
            "path": names[row["batch_id"]],
            "rows": row["rows"],
            "rules": sorted(row["rules"]),
        }
        for row in lost.iter_rows(named=True)
    ]


def _by_file(read: pl.DataFrame, held: pl.DataFrame, names: Mapping[str, str]) -> list[dict[str, Any]]:
    parsed = read.group_by("batch_id").agg(pl.col("rows").sum())
    out = held.filter(pl.col("table_name").is_in(read["table_name"].unique().implode()))
    counted = parsed.join(out.group_by("batch_id").agg(quarantined=pl.col("rows").sum()), on="batch_id")
    files = [
        {
            "path": names[row["batch_id"]],
            "rows": row["rows"],
            "quarantined": row["quarantined"],
            "share": row["quarantined"] / row["rows"],
        }
        for row in counted.iter_rows(named=True)
    ]
    return sorted(files, key=lambda file: (-file["share"], file["path"]))
