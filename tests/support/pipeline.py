"""A home for tests and the way into its lake, step by step and without Dagster.

Lives here: `Pipeline`, `make_home`, `stage_request`.
Does not live here: fixtures that give them to tests (`tests/conftest.py`), homes that run the real jobs (`tests/integration/`).
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.ingest.batches import outcome, stage_content, staged_tables
from pipelines.ingest.judging import stage_judged
from pipelines.ingest.parsing import parse_deliveries
from pipelines.ingest.publish import publish_staged, run_gate
from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.staged import Staged
from pipelines.ingest.staging import stage
from pipelines.ingest.suites import Suite, run_suite
from pipelines.market.exchanges import exchange
from pipelines.market.tables import TABLES
from pipelines.settings import Settings
from pipelines.sources.limits import Limits, configured_limits
from pipelines.sources.protocol import ParseOptions, Source
from pipelines.sources.registry import load_sources
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.raw import Delivery, store_raw
from tests.support.indicator_tables import INDICATOR_TABLES

#: When deliveries arrive that do not say otherwise: long after every bar in these tests.
ARRIVED = datetime(2025, 3, 1, 12, tzinfo=UTC)


def make_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an empty home in a new folder, of the exchange XNYS; the environment names it too."""
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MARKETLAKE_HOME", str(folder))
    monkeypatch.setenv("MARKETLAKE_EXCHANGES", "XNYS")
    # For the programs of Dagster that a test starts.
    monkeypatch.setenv("DAGSTER_HOME", str(folder / ".state" / "dagster"))
    return Settings()


def stage_request(lake: Lake, order: IngestRequest, sources: Mapping[str, Source], state_dir: Path, limits: Limits) -> Path:
    """Parse and stage an order as it is, before any gate has judged it. Returns its folder."""
    return stage_content(lake, order, sources, state_dir, parse_deliveries(lake, order, sources, limits=limits))


@dataclass(frozen=True)
class Pipeline:
    """The way into one home's lake, step by step and without Dagster."""

    settings: Settings
    #: What judges a staged table: the shipped suites, unless a test is not about them.
    suite: Suite = run_suite

    @property
    def lake(self) -> Lake:
        return Lake.from_settings(self.settings)

    @property
    def limits(self) -> Limits:
        return configured_limits(self.settings)

    def go_on_from(self, other: "Pipeline") -> "Pipeline":
        """Give this home, which has no lake yet, the lake of another; what came there is not taken in a second time."""
        shutil.copytree(other.settings.lake_root, self.settings.lake_root)
        return self

    def table(self, name: str, mic: str = "XNYS") -> LakeTable:
        return LakeTable(self.lake.table_uri(mic, name), {**TABLES, **INDICATOR_TABLES}[name])

    def rows(self, name: str, mic: str = "XNYS") -> pl.DataFrame:
        return self.table(name, mic).read()

    def quarantined(self, mic: str = "XNYS") -> list[tuple[str, str]]:
        """(table, rule) of every row in quarantine, sorted."""
        return sorted(self.rows("quarantine", mic).select("table_name", "rule").rows())

    def deliver(
        self,
        name: str,
        content: str | bytes,
        *,
        source: str = "csv",
        mic: str = "XNYS",
        received_at: datetime = ARRIVED,
        symbol: str | None = None,
        session: date | None = None,
    ) -> Delivery:
        """A vendor's file, kept raw."""
        path = self.settings.home / "inbound" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        options = ParseOptions(exchange=mic, timezone=exchange(mic).timezone, symbol=symbol, session=session)
        known = json.loads(options.canonical_json())
        return store_raw(self.lake, mic, path, name=name, source=source, options=known, received_at=received_at)

    def stage(self, *deliveries: Delivery, sessions: Sequence[date] | None = None) -> Staged:
        """What staging makes of these deliveries; nothing is written."""
        return stage(self.lake, self.order(*deliveries, sessions=sessions), load_sources(), limits=self.limits)

    def ingest(self, *deliveries: Delivery, sessions: Sequence[date] | None = None) -> dict[str, dict[str, int]]:
        """The ingest job's steps one after the other: stage, gate, publish what passed. Returns each table's figures.

        As in the job, what the gate refuses of an order stays out, and the rest is staged without it.
        """
        order, state, sources = self.order(*deliveries, sessions=sessions), self.settings.state_dir, load_sources()
        priorities = {name: source.priority for name, source in sources.items()}
        folder = stage_judged(self.lake, order, sources, state, self.limits, self.suite)
        # As in the job: instruments before their bars, names after them.
        place = {"instruments": 0, "instrument_aliases": 2}
        tables = sorted(staged_tables(folder), key=lambda name: place.get(name, 1))
        for table in tables:
            run_gate(self.lake, order.exchange, table, folder, state, self.suite)
        for table in tables:
            publish_staged(self.lake, order.exchange, table, folder, state, priorities)
        figures: dict[str, dict[str, int]] = outcome(folder)["tables"]
        return figures

    def order(self, *deliveries: Delivery, sessions: Sequence[date] | None = None) -> IngestRequest:
        return IngestRequest(deliveries[0].exchange, deliveries, None if sessions is None else tuple(sessions))
