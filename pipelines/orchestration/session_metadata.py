"""Metadata of a materialisation by session: what the page of one partition shows.

Lives here: giving each session of a run its own figures, whether the run bears it as a partition or not.
Does not live here: the figures (`assets/`), how events are stored (`event_log.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg

from pipelines.orchestration.event_log import WITHOUT_ROWS, record_sessions
from pipelines.orchestration.partitions import partition_sessions, run_sessions


def describe_sessions(
    context: dg.AssetExecutionContext,
    mic: str,
    key: dg.AssetKey,
    sessions: Mapping[date, Mapping[str, Any]],
    recorded: Collection[date] | None = None,
    *,
    calendars: Path | None,
    whole_run: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Give each session its metadata: with the materialisation that Dagster records of the run, or in one of its own.

    `recorded`: sessions that the run's own materialisation stands for; by default all of the run's. One of them without metadata is
    not materialised: nothing of it was there. Days that are no partitions (an action's ex-date on a holiday) are left out.
    `calendars`: the home's folder of calendars. `whole_run`: what the run's own materialisation says of all of it; where nothing is
    there of the run's sessions, the newest of the others bears it.
    """
    own = run_sessions(context) if recorded is None else recorded
    for day in own:
        context.add_asset_metadata(dict(sessions.get(day, WITHOUT_ROWS)), asset_key=key, partition_key=day.isoformat())
    others = partition_sessions(mic, calendars).difference(own)
    beside = {day: figures for day, figures in sorted(sessions.items()) if day in others}
    newest = max(beside) if beside and not sessions.keys() & set(own) else None
    last = beside.pop(newest) if newest else {}
    record_sessions(context, key, beside)
    if newest:
        # After the others, as the newest on the asset's page, and not in bulk: the page of the run shows it too.
        context.log_event(dg.AssetMaterialization(key, partition=newest.isoformat(), metadata={**whole_run, **last}))
