"""What a release brings that the one before did not have: sessions, signals, findings.

Lives here: comparing two releases of an exchange, and saying it in a line.
Does not live here: totals (`orchestration/nightly_run.py`), what a release is (`storage/releases.py`).

Only partitions whose files differ are read, so that it costs what the new day brought.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from pipelines.build.changes import added_and_removed
from pipelines.ingest.freshness import BAR_TABLES, sessions_with_bars
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release, find_release

_MOST_SESSIONS = 3


@dataclass(frozen=True)
class News:
    """What `release` has of an exchange beyond `since` (None: it is the first of the exchange).

    sessions: those that had no bar before, in order. signals: new ones by type. withdrawn: signals that are gone. findings: new
    price flags by kind, and days on which minutes do not agree with their daily bar as `minutes_disagree`. repaired: tables of the
    release before that were repaired since; it cannot be compared with.
    """

    release: str
    since: str | None
    is_new: bool
    sessions: tuple[date, ...]
    signals: Mapping[str, int]
    withdrawn: int
    findings: Mapping[str, int]
    repaired: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for people."""
        if not self.is_new:
            return f"nothing is new: {self.release} stays published"
        if self.repaired:
            return f"{self.release} is published after a repair of {', '.join(self.repaired)}: not compared with the release before"
        parts = [
            _counted(len(self.sessions), "session", _span(self.sessions)),
            _counted(sum(self.signals.values()), "signal", _kinds(self.signals)),
            _counted(sum(self.findings.values()), "finding", _kinds(self.findings)),
        ]
        if self.withdrawn:
            parts.append(f"{self.withdrawn:,} withdrawn")
        return f"new in {self.release}{f' since {self.since}' if self.since else ''}: {', '.join(parts)}"

    def as_json(self) -> dict[str, Any]:
        """The same for machines; of the sessions their number, the first and the last."""
        return {
            "since": self.since,
            "sessions": len(self.sessions),
            "first_session": str(self.sessions[0]) if self.sessions else None,
            "last_session": str(self.sessions[-1]) if self.sessions else None,
            "signals": dict(self.signals),
            "signals_withdrawn": self.withdrawn,
            "findings": dict(self.findings),
        }


def news_of(lake: Lake, exchange: str, release: Release, *, is_new: bool) -> News:
    """What a release brought. `is_new` false: it stood before, and nothing did."""
    earlier = find_release(lake, release.supersedes) if is_new and release.supersedes else None
    before = earlier.versions(exchange) if earlier else {}
    if not is_new:
        return News(release.release_id, None, is_new, (), {}, 0, {})
    after = release.versions(exchange)
    compared = (*BAR_TABLES, "scanner_signals", "price_flags", "minute_reconciliation")
    versions = {name: version for name, version in before.items() if name in compared}
    tables = {name: LakeTable(lake.table_uri(exchange, name), TABLES[name]) for name in versions}
    if repaired := tuple(name for name, version in versions.items() if tables[name].repaired_since(version) is not None):
        return News(release.release_id, None, is_new, (), {}, 0, {}, repaired)
    signals, withdrawn = _changes(lake, exchange, "scanner_signals", before, after, ["signal_type"])
    flags, _ = _changes(lake, exchange, "price_flags", before, after, ["flag"])
    minutes, _ = _changes(lake, exchange, "minute_reconciliation", before, after, ["agrees"], values=True)
    findings = _by(flags, "flag")
    if disagreeing := minutes.filter(~pl.col("agrees")).height:
        findings["minutes_disagree"] = disagreeing
    return News(
        release.release_id,
        earlier.release_id if earlier and before else None,
        is_new,
        _new_sessions(lake, exchange, before, after),
        _by(signals, "signal_type"),
        withdrawn.height,
        findings,
    )


def _new_sessions(lake: Lake, exchange: str, before: Mapping[str, int], after: Mapping[str, int]) -> tuple[date, ...]:
    days: set[date] = set()
    for name in BAR_TABLES:
        come, _ = _changes(lake, exchange, name, before, after, ["session_date"])
        days.update(come.get_column("session_date").unique())
    return tuple(sorted(days - sessions_with_bars(lake, exchange, days, before)))


def _changes(
    lake: Lake,
    exchange: str,
    name: str,
    before: Mapping[str, int],
    after: Mapping[str, int],
    columns: list[str],
    *,
    values: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    table = LakeTable(lake.table_uri(exchange, name), TABLES[name])
    return added_and_removed(table, before.get(name), after.get(name), columns, values=values)


def _by(rows: pl.DataFrame, column: str) -> dict[str, int]:
    return dict(rows.group_by(column).len().sort(column).iter_rows())


def _counted(count: int, noun: str, detail: str) -> str:
    if not count:
        return f"no {noun}"
    return f"{count:,} {noun}{'' if count == 1 else 's'} ({detail})"


def _kinds(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def _span(days: tuple[date, ...]) -> str:
    if len(days) > _MOST_SESSIONS:
        return f"{days[0]} to {days[-1]}"
    return ", ".join(str(day) for day in days)
