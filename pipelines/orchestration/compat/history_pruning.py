"""Deleting the events of old runs from Dagster's history, but for the last materialisation of each session of an asset.

Lives here: `EventPruning`, on SQLite and on PostgreSQL.
Does not live here: which runs are old (`orchestration/history.py`).

Dagster's own `delete_run` takes the materialisations along: the sessions that only an old run made would be shown as never made.
There is no public call that deletes the other events of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from pipelines.orchestration.compat.event_log import SessionEventLog

#: Ids that one statement names.
_AT_ONCE = 200
_EVENTS, _CHECKS, _TAGS = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c, AssetEventTagsTable.c


class UnknownHistoryError(RuntimeError):
    """The history lies in a storage that marketlake does not know."""


@dataclass(frozen=True)
class PrunedEvents:
    """What was deleted of runs: events in the database, files of runs and their bytes."""

    events: int = 0
    files: int = 0
    size_bytes: int = 0


class EventPruning:
    """Deletes events of runs that are over. Raises UnknownHistoryError where it does not know how the storage keeps them."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        storage = instance.event_log_storage
        if not isinstance(storage, SqlEventLogStorage) or (storage.is_run_sharded and not isinstance(storage, SessionEventLog)):
            raise UnknownHistoryError(f"Dagster's history lies in a {type(storage).__name__}, which dagster.yaml names")
        self._storage = storage

    def prune(self, run_ids: Sequence[str], *, dry_run: bool) -> PrunedEvents:
        """Delete the events of these runs, or with `dry_run` count them. Kept are the last materialisation of each asset and
        session, and the last result of each check.
        """
        events, files = 0, [path for run_id in run_ids for path in self._files(run_id)]
        with self._storage.index_connection() as connection:
            for start in range(0, len(run_ids), _AT_ONCE):
                events += self._prune_events(connection, run_ids[start : start + _AT_ONCE], dry_run=dry_run)
        size = sum(path.stat().st_size for path in files)
        if not dry_run and isinstance(self._storage, SessionEventLog):
            for run_id in run_ids:
                self._storage.delete_run_file(run_id)
        return PrunedEvents(events, len(files), size)

    def _prune_events(self, connection: Any, run_ids: Sequence[str], *, dry_run: bool) -> int:
        last_made = (
            sa.select(sa.func.max(_EVENTS.id))
            .where(_EVENTS.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value)
            .group_by(_EVENTS.asset_key, _EVENTS.partition)
        )
        last_checked = sa.select(sa.func.max(_CHECKS.id)).group_by(_CHECKS.asset_key, _CHECKS.check_name)
        old = sa.and_(_EVENTS.run_id.in_(run_ids), _EVENTS.id.not_in(last_made))
        if dry_run:
            return int(connection.execute(sa.select(sa.func.count()).select_from(SqlEventLogStorageTable).where(old)).scalar())
        ids = sa.select(_EVENTS.id).where(old)
        connection.execute(AssetEventTagsTable.delete().where(_TAGS.event_id.in_(ids)))
        checks = sa.and_(_CHECKS.run_id.in_(run_ids), _CHECKS.id.not_in(last_checked))
        connection.execute(AssetCheckExecutionsTable.delete().where(checks))
        return int(connection.execute(SqlEventLogStorageTable.delete().where(old)).rowcount)

    def _files(self, run_id: str) -> Iterator[Path]:
        if isinstance(self._storage, SessionEventLog):
            yield from self._storage.run_files(run_id)
