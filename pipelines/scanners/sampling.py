"""Which evaluation times of the past are repeated after a build: a bounded, deterministic sample.

Lives here: `sampled_sessions` and `sampled_times`, seeded by hashes of scanner, session and evaluation time.
Does not live here: repeating them (`parity.py`), reading the record (`record_checks.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date, datetime

import polars as pl

#: A scan to repeat: the evaluation time, and the scanners that were run at it.
Asked = list[tuple[datetime, list[str]]]

#: Evaluation times of one scanner that are repeated within one session.
_TIMES_A_SESSION = 2


def sampled_sessions(scanned: pl.DataFrame, most: int) -> list[date]:
    """Up to `most` sessions, spread over those given; and one on which each scanner issued signals, beyond `most` if need be.

    scanned: a row per scanner and session: scanner_name, session_date, fired (it issued signals there). The spans into which the
    sessions are divided have each its session, one on which scanners fired where there is any.
    """
    sessions = scanned["session_date"].unique().sort().to_list()
    if not sessions:
        return []
    # Of the sessions as well, so that another night samples others.
    seed = (sessions[0], sessions[-1])
    spread = [min(_fired(scanned, part) or part, key=lambda day: _rank(*seed, day)) for part in _spans(sessions, most)]
    fired: dict[str, list[date]] = dict(
        scanned.filter("fired").group_by("scanner_name").agg(pl.col("session_date").unique()).sort("scanner_name").iter_rows()
    )
    chosen = set(spread)
    for scanner, days in fired.items():
        if not chosen.intersection(days):
            ranks = {_rank(*seed, scanner, day): day for day in days}
            chosen.add(ranks[min(ranks)])
    return sorted(chosen)


def sampled_times(runs: pl.DataFrame) -> Asked:
    """Of recorded scans (rows of `scanner_runs`) up to two evaluation times per scanner and session, those with signals first."""
    ranked = runs.select("scanner_name", "session_date", "as_of_ts", fired=pl.col("signals") > 0).unique()
    # By evaluation time alone, so that scanners share times where they can: each time costs scans of its own.
    ranks = {at: _rank(at) for at in ranked["as_of_ts"].unique().to_list()}
    ordered = ranked.with_columns(rank=pl.col("as_of_ts").replace_strict(ranks, return_dtype=pl.String)).sort(
        "scanner_name", "session_date", pl.col("fired").not_(), "rank"
    )
    chosen = ordered.group_by("scanner_name", "session_date", maintain_order=True).head(_TIMES_A_SESSION)
    return grouped(chosen)


def grouped(chosen: pl.DataFrame) -> Asked:
    """Scanners by evaluation time, both in order. Columns: scanner_name, as_of_ts."""
    found = chosen.group_by("as_of_ts").agg(pl.col("scanner_name").unique().sort()).sort("as_of_ts")
    return [(at, names) for at, names in found.iter_rows()]


def _fired(scanned: pl.DataFrame, sessions: list[date]) -> list[date]:
    return scanned.filter("fired", pl.col("session_date").is_in(sessions))["session_date"].unique().to_list()


def _spans(sessions: list[date], count: int) -> Iterable[list[date]]:
    """The sessions in order, divided into up to `count` spans of nearly equal length."""
    spans = min(count, len(sessions))
    return (sessions[i * len(sessions) // spans : (i + 1) * len(sessions) // spans] for i in range(spans))


def _rank(*seed: object) -> str:
    text = "|".join(part.isoformat() if isinstance(part, date) else str(part) for part in seed)
    return hashlib.sha256(text.encode()).hexdigest()
