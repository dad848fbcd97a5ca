"""Checks of one exchange: its instruments, how far its sessions reach, its quarantine, its suspected actions.

Lives here: judging by one exchange's tables whether somebody has to act.
Does not live here: measuring (`ingest/freshness.py`), its calendar (`calendars.py`), the release as a whole (`releases.py`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from pipelines.doctor.model import Finding
from pipelines.doctor.words import listed
from pipelines.ingest.freshness import measure_freshness, newest_session
from pipelines.ingest.orphan_bars import orphaned
from pipelines.ingest.quarantine import REFUSED
from pipelines.ingest.suspected_actions import describe_suspects, suspected_actions
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release

#: How far back quarantine counts as new, and the share of the rows that arrived since from which it is worth a look.
_RECENT = timedelta(days=7)
_QUARANTINED_SHARE = 0.01


def check_instruments(mic: str, lake: Lake) -> Finding:
    """Whether every bar has its row in `instruments`."""
    check = f"instruments {mic}"
    orphans = orphaned(lake, mic)
    if orphans.is_empty():
        return Finding(check, "ok", "every bar has its instrument")
    names = orphans["instrument_id"].unique(maintain_order=True).to_list()
    message = f"{orphans['rows'].sum()} bars of {len(names)} instruments that the table instruments does not have: {listed(names)}"
    advice = "run `marketlake doctor --repair`, then `marketlake nightly`"
    return Finding(check, "error", f"{message}; every nightly run fails", advice)


def check_freshness(mic: str, lake: Lake, last: Release | None, now: datetime, limit: int) -> Finding:
    """Whether what is released reaches up to the last session that closed, or less than `limit` sessions behind it.

    History that nobody continues warns: no delivery ever came as its sessions closed. So does an exchange without bars.
    """
    check = f"freshness {mic}"
    delivered = newest_session(lake, mic)
    if delivered is None:
        advice = f"run `marketlake ingest PATH --source NAME --exchange {mic}`, or take {mic} out of MARKETLAKE_EXCHANGES"
        return Finding(check, "warning", "no bars of this exchange", advice)
    released = measure_freshness(lake, mic, now, limit, versions=last.versions(mic) if last else {})
    if released.newest is None:
        message = f"delivered up to {delivered}, nothing of it is released"
        return Finding(check, "error", message, f"run `marketlake nightly --exchange {mic}`")
    message = f"released up to {released.newest}"
    if released.behind:
        message += f", {released.behind} {'session' if released.behind == 1 else 'sessions'} behind {released.expected}"
    if released.provisional:
        message += f" ({released.provisional} of them provisional)"
    if released.newest < delivered:
        message, advice = f"{message}; delivered up to {delivered}", f"run `marketlake nightly --exchange {mic}`"
    else:
        advice = released.advice()
    if released.state == "stale":
        return Finding(check, "error", message, advice)
    if released.state == "old":
        return Finding(check, "warning", f"{message}; history: no delivery ever came as its sessions closed", advice)
    return Finding(check, "warning" if released.newest < delivered else "ok", message, advice)


def check_quarantine(mic: str, lake: Lake, now: datetime) -> Finding:
    """Whether much of what arrived within seven days was quarantined, or the gate refused a session of it."""
    check = f"quarantine {mic}"
    schema, files = TABLES["quarantine"], TABLES["raw_files"]
    columns = ["batch_id", "row_number", "table_name", "rule", "quarantined_at", "released_at"]
    held = LakeTable(lake.table_uri(mic, schema.name), schema).read(columns=columns).filter(pl.col("released_at").is_null())
    since = pl.lit(now - _RECENT)
    new = held.filter(pl.col("quarantined_at") > since)
    rows = new.select("batch_id", "row_number", "table_name").n_unique()
    message = f"{held.select('batch_id', 'row_number', 'table_name').n_unique():,} rows, {rows:,} of them of the last 7 days"
    read = LakeTable(lake.table_uri(mic, files.name), files).read(columns=["rows_read", "received_at"])
    arrived = int(read.filter(pl.col("received_at") > since)["rows_read"].sum())
    rules = new.group_by("rule").len().sort("len", "rule", descending=[True, False])["rule"].to_list()
    refused = [rule for rule in rules if rule.startswith(REFUSED)]
    if not rows or (rows <= _QUARANTINED_SHARE * arrived and not refused):
        return Finding(check, "ok", message)
    share = f" ({rows / arrived:.1%} of what arrived)" if arrived else ""
    return Finding(check, "warning", f"{message}{share}, by {listed(rules)}", f"run `marketlake quarantine list --exchange {mic}`")


def check_suspects(mic: str, lake: Lake, *, withheld: bool) -> Finding:
    """Whether splits or demergers wait for somebody's decision; `withheld`: signals across them are withheld until then."""
    check = f"actions {mic}"
    suspects = suspected_actions(lake, mic)
    if suspects.is_empty():
        return Finding(check, "ok", "no split or demerger waits for a decision")
    names = [f"{symbol} {day}" for symbol, day in suspects.select("symbol", "session_date").iter_rows()]
    count = "1 suspected action" if suspects.height == 1 else f"{suspects.height} suspected actions"
    message = f"{count} that nobody recorded: {listed(names)}"
    return Finding(check, "warning", message, describe_suspects(mic, suspects.head(1), withheld=withheld)[1])
