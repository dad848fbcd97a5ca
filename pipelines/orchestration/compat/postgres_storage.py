"""Dagster's history on PostgreSQL, as the home's SQLite files keep it.

Lives here: `SessionPostgresStorage`, which the `dagster.yaml` of a home names where its settings have a database; its name stays.
Does not live here: the SQLite files (`event_log.py`, `home_storage.py`); which of the two a home has is in
`orchestration/home_config.py`.

Dagster's own storage writes a batch of materialisations in one statement, so that nothing of `SessionEventLog` is needed for its
pace. What else that does is done here too: no session without rows, one line a check and run, partitions of an exchange at once.
Imported only where dagster-postgres is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.events.log import EventLogEntry
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import DagsterPostgresException

# With the event log the partitions are replaced, which every process of a home needs.
from pipelines.orchestration.compat.event_log import is_without_rows, plan_once
from pipelines.orchestration.home_config import HistoryUnavailableError

_URL = "postgresql://"
#: As the webserver does by itself: one connection is kept, more are opened where threads need them. Server and network may
#: drop one that lies idle for hours.
_KEPT_OPEN = {"statement_timeout": 0, "pool_recycle": 600, "max_overflow": 20}


class SessionPostgresEventLog(PostgresEventLogStorage):
    """PostgreSQL event log without materialisations of sessions of which there is nothing, one line a check and run."""

    def __init__(self, postgres_url: str) -> None:
        """The event log of a database whose tables are there.

        A connection stays open: a run has a thousand events, and the inherited class logs in two or three times for each.
        """
        super().__init__(postgres_url, should_autocreate_tables=False)
        self.optimize_for_webserver(**_KEPT_OPEN)

    def dispose(self) -> None:
        """Close the connections."""
        super().dispose()
        self._engine.dispose()

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, as `SessionEventLog` does."""
        if not is_without_rows(event):
            super().store_event(plan_once(event))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events together; the inherited method does it in one statement where all are materialisations."""
        stored = [plan_once(event) for event in events if not is_without_rows(event)]
        if stored:
            super().store_event_batch(stored)


class SessionPostgresStorage(DagsterPostgresStorage):
    """Runs, events and ticks in a PostgreSQL database, with the event log above."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        """As the inherited class, whose event log is of its own class. Raises HistoryUnavailableError where no server answers."""
        url = with_driver(postgres_url)
        try:
            super().__init__(url, inst_data=inst_data)
        except DagsterPostgresException as error:
            raise HistoryUnavailableError(f"Dagster's history on PostgreSQL cannot be opened: {_reason(error)}") from error
        self._event_log_storage = SessionPostgresEventLog(url)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The address alone: more of it is said in the address itself."""
        return {"postgres_url": dg.StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> SessionPostgresStorage:
        """Made from dagster.yaml; the inherited method would make its own class."""
        return cls(config_value["postgres_url"], inst_data)


def with_driver(url: str) -> str:
    """A URL that names the driver which dagster-postgres brings: since 2.1 SQLAlchemy takes another one where none is named."""
    return f"postgresql+psycopg2://{url.removeprefix(_URL)}" if url.startswith(_URL) else url


def _reason(error: DagsterPostgresException) -> str:
    # psycopg2 names server and database, never the password.
    lines = str(getattr(error.__cause__, "orig", error)).strip().splitlines()
    return lines[0] if lines else str(error)
