"""Dagster's history where the settings have it: for `dagster dev -w workspace.yaml` in a checkout, without DAGSTER_HOME.

Lives here: the classes that `dagster.yaml` beside `workspace.yaml` names. Each keeps in the home what a home's own `dagster.yaml`
(`orchestration/home_config.py`) keeps there, so that both ways of starting Dagster show the same runs. Dagster reads such classes
from a configuration; those to inherit from, which know where files go, are private.
Does not live here: the event log itself (`event_log.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from pipelines.orchestration.compat.event_log import SessionEventLog
from pipelines.settings import Settings


def _home() -> Path:
    folder = Settings().dagster_home
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class HomeStorage(DagsterSqliteStorage):
    """Runs, events and ticks of the home that the settings name."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """As the inherited class, with the project's own event log."""
        super().__init__(base_dir, inst_data)
        self._event_log_storage = SessionEventLog(str(Path(base_dir, "history")))

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured: the settings say where."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Any:
        """Made from dagster.yaml: this class, or the storage on PostgreSQL where the settings have a database."""
        url = Settings().dagster_postgres_url
        if url is None:
            return cls(str(_home()), inst_data)
        # dagster-postgres need not be installed otherwise.
        from pipelines.orchestration.compat.postgres_storage import SessionPostgresStorage

        return SessionPostgresStorage(url.get_secret_value(), inst_data)


class HomeComputeLogs(LocalComputeLogManager):
    """What steps of the home's runs print."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> HomeComputeLogs:
        """Made from dagster.yaml."""
        return cls(base_dir=str(_home() / "storage"), inst_data=inst_data)


class HomeArtifacts(LocalArtifactStorage):
    """Files that Dagster keeps beside its history."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> HomeArtifacts:
        """Made from dagster.yaml."""
        return cls(base_dir=str(_home()), inst_data=inst_data)
