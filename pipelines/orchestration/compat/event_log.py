"""Dagster's SQLite event log at the pace of thousands of sessions: a batch of materialisations in one transaction.

Lives here: `SessionEventLog`, and the events that it is given in bulk; leaving out sessions of which there is nothing.
Does not live here: which sessions are recorded (`orchestration/event_log.py`, under which a home's `dagster.yaml` names the class).

One materialisation event costs SQLite 5 to 15 ms when stored alone (two databases, two commits); 5,800 sessions of a history file
would take a minute an asset. In one transaction they take about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.event import listen
from sqlalchemy.pool import QueuePool

from pipelines.orchestration.compat.partitions import quicken_partitions

quicken_partitions()

#: SQLite files whose prepared statements are kept: the index and the latest runs.
_ENGINES = 16
#: How often the text of a materialisation names its session.
_MENTIONS = 2
_NO_ROWS = "marketlake/no_rows"
#: Metadata of a materialisation that Dagster makes for a session of the run of which the table has nothing: it is not stored.
WITHOUT_ROWS: Mapping[str, Any] = MappingProxyType({_NO_ROWS: True})


class SessionEventLog(SqliteEventLogStorage):
    """SQLite event log whose batches of asset events go to the cross-run index in one transaction, one line a check and run."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """As the inherited class; `base_dir` holds the files."""
        self._engines: dict[str, Engine] = {}
        self._there: set[tuple[str, str]] = set()
        super().__init__(base_dir, inst_data)

    def dispose(self) -> None:
        """Close the files."""
        self._close()
        super().dispose()

    def wipe(self) -> None:
        """Delete all events and the files of runs, which must not stay open then."""
        self._close()
        super().wipe()

    def _close(self) -> None:
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        self._there.clear()

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> SessionEventLog:
        """Made from dagster.yaml; the inherited method would make its own class."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """A connection as the inherited method gives it, which makes an engine and opens the file anew for each of the thousand
        events of a run.
        """
        with self._db_lock:
            engine = self._engines.pop(shard, None)
            if engine is None:
                # One connection a file, kept open, for whichever thread holds the lock: to close the last one is a checkpoint.
                options = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
                place = self.conn_string_for_shard(shard)
                engine = create_engine(place, poolclass=QueuePool, pool_size=1, connect_args=options)
                listen(engine, "connect", _without_waiting_for_the_disk)
            self._engines[shard] = engine
            if len(self._engines) > _ENGINES:
                self._engines.pop(next(iter(self._engines))).dispose()
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def run_files(self, run_id: str) -> list[Path]:
        """The files that hold the events of a run: the database, and what SQLite keeps beside it while it is open."""
        path = Path(self.path_for_shard(run_id))
        return [file for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))) if file.is_file()]

    def delete_run_file(self, run_id: str) -> None:
        """Delete the file with all events of a run; what the index has of them stays."""
        with self._db_lock:
            engine = self._engines.pop(run_id, None)
            if engine is not None:
                engine.dispose()
            self._initialized_dbs.discard(run_id)
            for file in self.run_files(run_id):
                file.unlink(missing_ok=True)

    def has_asset_key_col(self, column_name: str) -> bool:
        """As the inherited method, which asks the database each time, several times for each asset of a page."""
        return self._has(("column", column_name), super().has_asset_key_col, column_name)

    def has_secondary_index(self, name: str) -> bool:
        """Likewise: what is there stays there."""
        return self._has(("index", name), super().has_secondary_index, name)

    def _has(self, what: tuple[str, str], ask: Callable[[str], bool], name: str) -> bool:
        if what not in self._there and ask(name):
            self._there.add(what)
        return what in self._there

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event. A check is planned once for a run, as it is judged: for the batch, not for each session of the run.

        A materialisation without rows is left out: an asset that yielded none would have all that reads it skipped.
        """
        if not is_without_rows(event):
            super().store_event(plan_once(event))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store asset materialisations in the index that the asset pages read. Other events take the ordinary way."""
        batch: list[EventLogEntry] = []
        for event in events:
            if event.dagster_event and event.dagster_event.is_step_materialization and not is_without_rows(event):
                batch.append(event)
            else:
                self.store_event(event)
        if not batch:
            return
        with self.index_transaction() as connection:
            # SQLAlchemy reads an empty list as one row of defaults.
            if len(batch) > 1:
                connection.execute(SqlEventLogStorageTable.insert(), self._rows(batch[:-1]))
            inserted = connection.execute(self.prepare_insert_event(batch[-1])).inserted_primary_key
            assert inserted is not None
            self._store_asset_event(connection, batch[-1], inserted[0])

    def _rows(self, batch: Sequence[EventLogEntry]) -> list[dict[str, Any]]:
        """Rows of materialisations. Those that differ in their session alone are put into words once, which is most of the cost."""
        rows: list[dict[str, Any]] = []
        worded: dict[tuple[str, str], dict[str, Any]] = {}
        for event in batch:
            assert event.dagster_event is not None
            made = event.dagster_event.step_materialization_data.materialization
            alike = (made.asset_key.to_string(), repr(made.metadata))
            known = worded.get(alike)
            # The session stands in the message and in the materialisation, and must stand nowhere else.
            if known and made.partition and known["event"].count(known["partition"]) == _MENTIONS:
                text = known["event"].replace(known["partition"], made.partition)
                rows.append({**known, "event": text, "partition": made.partition})
            else:
                rows.append(self._event_to_row(event))
                if made.partition:
                    worded[alike] = rows[-1]
        return rows


def _without_waiting_for_the_disk(connection: Any, record: object) -> None:
    # In write-ahead mode a process that is killed loses nothing by this, and a machine that loses power its last events at most.
    connection.execute("PRAGMA synchronous=NORMAL")


def is_without_rows(event: EventLogEntry) -> bool:
    """Whether an event is the materialisation of a session of which the table has nothing."""
    made = event.dagster_event
    return made is not None and made.is_step_materialization and _NO_ROWS in made.step_materialization_data.materialization.metadata


def plan_once(event: EventLogEntry) -> EventLogEntry:
    """The event itself; of a planned check, planned for the run instead of for one of its sessions."""
    # Dagster plans a check for every partition of the run, though the check has none. The one result then finds no plan to
    # replace, and each plan stays in the check's history as a line "Skipped" or "Execution failed".
    planned = event.dagster_event.event_specific_data if event.dagster_event else None
    if event.dagster_event is None or not isinstance(planned, AssetCheckEvaluationPlanned):
        return event
    for_the_run = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
    return event._replace(dagster_event=event.dagster_event._replace(event_specific_data=for_the_run))


def materialisation_event(run: dg.DagsterRun, timestamp: float, message: str, made: dg.AssetMaterialization) -> EventLogEntry:
    """An entry of the event log: `run` materialised an asset. Dagster's public calls store one event each."""
    return EventLogEntry(
        error_info=None,
        level="debug",
        user_message="",
        run_id=run.run_id,
        timestamp=timestamp,
        job_name=run.job_name,
        dagster_event=DagsterEvent(
            event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name=run.job_name,
            message=message,
            event_specific_data=StepMaterializationData(made),
        ),
    )
