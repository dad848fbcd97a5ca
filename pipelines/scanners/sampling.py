"""Which evaluation times of the past are repeated after a build: a bounded, deterministic sample.

Lives here: `sampled_sessions` and `sampled_times`, seeded by hashes of scanner, session and evaluation time.
Does not live here: repeating them (`parity.py`), reading the record (`record_checks.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import polars as pl

#: A scan to repeat: the evaluation time, and the scanners that were run at it.
Asked = list[tuple[datetime, list[str]]]


def sampled_sessions(scanned: pl.DataFrame, most: int, *, with_signals: bool = True) -> dict[date, list[str]]:
    """Sessions to scan again, each with its scanners: a scanner in up to `most`, spread over the sessions given.

    scanned: a row per scanner and session: scanner_name, session_date, fired (it issued signals there). The sessions are divided
    into `most` spans, and of each the one is taken in which most scanners fired. A scanner that fired in none of these has one of
    its own; without `with_signals` it is tried in those sessions all the same, which costs fewer scans.
    """
    sessions = scanned["session_date"].unique().sort().to_list()
    if not sessions:
        return {}
    # Of the sessions as well, so that another night samples others.
    seed = (sessions[0], sessions[-1])
    fired = _by(scanned.filter("fired"), "session_date", "scanner_name")
    spread = [min(part, key=lambda day: (-len(fired.get(day, [])), _rank(*seed, day))) for part in _spans(sessions, most)]
    chosen = {day: set(fired.get(day, [])) for day in spread}
    days_of = _by(scanned.filter("fired"), "scanner_name", "session_date")
    for scanner in scanned["scanner_name"].unique().sort().to_list():
        if any(scanner in scanners for scanners in chosen.values()):
            continue
        own = {_rank(*seed, scanner, day): day for day in days_of.get(scanner, []) if with_signals}
        for day in [own[min(own)]] if own else spread:
            chosen.setdefault(day, set()).add(scanner)
    return {day: sorted(chosen[day]) for day in sorted(chosen)}


def sampled_times(runs: pl.DataFrame, most: int) -> Asked:
    """Of recorded scans (rows of `scanner_runs`) up to `most` times per scanner and session, those with signals first."""
    ranked = runs.select("scanner_name", "session_date", "as_of_ts", fired=pl.col("signals") > 0).unique()
    # By evaluation time alone, so that scanners share times where they can: each time costs scans of its own.
    ranks = {at: _rank(at) for at in ranked["as_of_ts"].unique().to_list()}
    ordered = ranked.with_columns(rank=pl.col("as_of_ts").replace_strict(ranks, return_dtype=pl.String)).sort(
        "scanner_name", "session_date", pl.col("fired").not_(), "rank"
    )
    chosen = ordered.group_by("scanner_name", "session_date", maintain_order=True).head(most)
    return grouped(chosen)


def grouped(chosen: pl.DataFrame) -> Asked:
    """Scanners by evaluation time, both in order. Columns: scanner_name, as_of_ts."""
    found = chosen.group_by("as_of_ts").agg(pl.col("scanner_name").unique().sort()).sort("as_of_ts")
    return [(at, names) for at, names in found.iter_rows()]


def _by(rows: pl.DataFrame, key: str, value: str) -> dict[Any, list[Any]]:
    return dict(rows.group_by(key).agg(pl.col(value).unique().sort()).iter_rows())


def _spans(sessions: list[date], count: int) -> Iterable[list[date]]:
    """The sessions in order, divided into up to `count` spans of nearly equal length."""
    spans = min(count, len(sessions))
    return (sessions[i * len(sessions) // spans : (i + 1) * len(sessions) // spans] for i in range(spans))


def _rank(*seed: object) -> str:
    text = "|".join(part.isoformat() if isinstance(part, date) else str(part) for part in seed)
    return hashlib.sha256(text.encode()).hexdigest()
