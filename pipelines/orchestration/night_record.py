"""What the last nightly run followed from and what it said, so that a night with nothing new needs no run.

Lives here: `NightRecord`, a small file of the home's derived state. Without Dagster: reading it is all that such a night does.
Does not live here: the run (`nightly_run.py`), records of single steps (`storage/step_records.py`).

A run's result follows from the lake, the settings, the files of the home and the code. Where all of them are what they were after a
run that went well, another one would build, check and publish the same. Losing a record costs a run and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pipelines.indicators.tables import home_tables
from pipelines.ingest.freshness import measure_freshness
from pipelines.market.tables import TABLES
from pipelines.reports.news import News
from pipelines.scanners.build_configuration import configure_build
from pipelines.scanners.project import HomeProject
from pipelines.settings import Settings
from pipelines.storage.delta import LakeTable
from pipelines.storage.errors import DamagedTableError, ForeignCommitError
from pipelines.storage.hold import read_hold
from pipelines.storage.location import Lake
from pipelines.storage.releases import find_release
from pipelines.storage.step_records import hash_parts
from pipelines.whole_files import hash_file, write_whole

#: How long a writer waits changes no result, nor who is told of a fault.
_NO_PART_OF_A_RESULT = {"wait_seconds", "run_wait_seconds", "alert_urls", "alert_repeat_hours", "alert_most_per_hour", "ui_url"}


@dataclass(frozen=True)
class NightRecord:
    """The record of one exchange of a home."""

    settings: Settings
    exchange: str

    @property
    def path(self) -> Path:
        """The record's file."""
        return self.settings.state_dir / "steps" / f"{self.exchange}_night.json"

    def write(self, summary: Mapping[str, Any]) -> None:
        """Record a run by its summary (`nightly_summary`); nothing where a check of it failed, which the next run shall show again.

        It is recorded by the versions that its release holds: what came into the lake since is new.
        """
        if summary["checks_failed"] or summary["release_id"] is None:
            self.path.unlink(missing_ok=True)
            return
        versions = find_release(self._lake, summary["release_id"]).versions(self.exchange)
        kept = {name: value for name, value in summary.items() if name != "new"}
        content = {"made_of": self._made_of(versions, kept), "summary": kept}
        write_whole(self.path, json.dumps(content))

    def unchanged(self, now: datetime, sessions: Iterable[date] = ()) -> dict[str, Any] | None:
        """The last run's summary with the news that nothing is new; None where a run might find, build or say anything else.

        Also None where the exchange is stale `now`, one of the `sessions` has no bars, or a table is damaged: a run shows these.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        summary: dict[str, Any] = content["summary"]
        try:
            if content["made_of"] != self._made_of(self._heads(), summary):
                return None
        except (DamagedTableError, ForeignCommitError):
            return None
        if measure_freshness(self._lake, self.exchange, now, self.settings.stale_after_sessions, sessions).state == "stale":
            return None
        nothing = News(summary["release_id"], None, False, (), {}, 0, {})
        return {**summary, "new_release": False, "new": nothing}

    @property
    def _lake(self) -> Lake:
        return Lake.from_settings(self.settings)

    def _tables(self) -> dict[str, LakeTable]:
        lake = self._lake
        schemas = {**TABLES, **home_tables(lake.indicators)}
        return {
            name: LakeTable(lake.table_uri(self.exchange, name), schema) for name, schema in schemas.items() if name != "releases"
        }

    def _heads(self) -> dict[str, int]:
        found = {name: table.own_version() for name, table in self._tables().items()}
        return {name: version for name, version in found.items() if version is not None}

    def _made_of(self, versions: Mapping[str, int], summary: Mapping[str, Any]) -> str:
        """A hash of all that a run at these versions follows from, and of what it left outside the lake."""
        settings, tables = self.settings, self._tables()
        hold = read_hold(self._lake)
        strategies = sorted(settings.strategies_dir.glob("*.y*ml"))
        return hash_parts(
            # By the names of their files: a lake that was restored from a backup counts its versions again.
            {name: tables[name].files(version) for name, version in versions.items()},
            configure_build(settings.exchanges, HomeProject.from_settings(settings)).fingerprint,
            settings.model_dump(mode="json", exclude=_NO_PART_OF_A_RESULT),
            hashlib.sha256(self._lake.calendar(self.exchange).frame().write_csv().encode()).hexdigest(),
            {path.name: hash_file(path) for path in strategies},
            None if hold is None else hold.describe(),
            self._published(),
            hash_file(Path(summary["report"])) if summary["report"] else None,
        )

    def _published(self) -> str | None:
        """The catalogue that analysts open; None where it is gone."""
        link = self.settings.catalogue_link
        return link.resolve().name if link.exists() else None
