"""Recording the sessions of a run in Dagster's event log, thousands in one transaction.

Lives here: `record_sessions`, and the name under which the `dagster.yaml` of a home finds its event log: it stays as it is.
Does not live here: the event log (`compat/event_log.py`), which sessions were touched (the assets know).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg

from pipelines.orchestration.compat.event_log import WITHOUT_ROWS, SessionEventLog, materialisation_event

__all__ = ["WITHOUT_ROWS", "SessionEventLog", "record_sessions"]


def record_sessions(context: dg.AssetExecutionContext, key: dg.AssetKey, sessions: Mapping[date, Mapping[str, Any]]) -> None:
    """Record one materialisation of `key` per session, with that session's metadata, besides those that the run itself records."""
    if not sessions:
        return
    now = time.time()
    events = [
        materialisation_event(
            context.run,
            now,
            f"{key.to_user_string()} of {session}",
            dg.AssetMaterialization(key, partition=session.isoformat(), metadata=dict(metadata)),
        )
        for session, metadata in sessions.items()
    ]
    context.instance.event_log_storage.store_event_batch(events)
