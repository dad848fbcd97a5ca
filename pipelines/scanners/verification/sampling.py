"""Which evaluation times of the past are repeated after a build: a bounded, deterministic sample.

Lives here: `sampled_sessions` and `sampled_times`, seeded by hashes of scanner, session and evaluation time.
Does not live here: repeating them (`reproducibility.py`), reading the record (`records.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import polars as pl

#: A scan to repeat: the evaluation time, and the scanners that were run at it.
Asked = list[tuple[datetime, list[str]]]


def sampled_sessions(scanned: pl.DataFrame, most: int) -> dict[date, list[str]]:
    """Up to `most` sessions to scan again, spread over the sessions given, each with the scanners to try there.

    scanned: a row per scanner and session: scanner_name, session_date, fired (it issued signals there). The sessions are divided
    into `most` spans, and of each the one is taken in which most of the scanners fired that have no session yet, else most of all.
    A scanner is tried in the sessions of its signals; one that fired in none of these is tried in all of them.
    """
    sessions = scanned["session_date"].unique().sort().to_list()
    if not sessions:
        return {}
    # Of the sessions as well, so that another night samples others.
    seed = (sessions[0], sessions[-1])
    fired = _by(scanned.filter("fired"), "session_date", "scanner_name")
    chosen: dict[date, set[str]] = {}
    covered: set[str] = set()
    for part in _spans(sessions, most):
        names = {day: set(fired.get(day, [])) for day in part}
        day = min(part, key=lambda d: (-len(names[d] - covered), -len(names[d]), _rank(*seed, d)))  # used at once
        chosen[day] = names[day]
        covered |= names[day]
    others = set(scanned["scanner_name"].unique().to_list()) - covered
    return {day: sorted(chosen[day] | others) for day in sorted(chosen)}


def sampled_times(runs: pl.DataFrame, most: int) -> Asked:
    """Of recorded scans (rows of `scanner_runs`) of one session up to `most` evaluation times, each with the scanners to try at it.

    A time is taken in which most of the scanners issued signals that have none yet, else in which most of them were asked. A
    scanner that fired at none of these times is tried at the first at which it was asked.
    """
    asked = _by(runs, "as_of_ts", "scanner_name")
    fired = _by(runs.filter(pl.col("signals") > 0), "as_of_ts", "scanner_name")
    missing = set(runs["scanner_name"].unique().to_list())
    chosen: dict[datetime, set[str]] = {}
    while missing and len(chosen) < most:
        at = min(
            asked, key=lambda t: (-len(missing.intersection(fired.get(t, []))), -len(missing.intersection(asked[t])), _rank(t))
        )
        found = missing.intersection(fired.get(at, [])) or missing.intersection(asked[at])
        chosen.setdefault(at, set()).update(found)
        missing -= found
    for scanner in sorted(missing):
        for at, tried in chosen.items():
            if scanner in asked[at]:
                tried.add(scanner)
                break
    return [(at, sorted(chosen[at])) for at in sorted(chosen)]


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
