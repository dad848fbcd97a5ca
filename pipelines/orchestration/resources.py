"""Resources: the typed settings of a home and the writer's lock.

Lives here: `MarketlakeResource` and `WriterLock`.
Does not live here: reading the environment (`settings.py`).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
from pydantic import Field

from pipelines.backtest.configured import configured_costs, configured_fills
from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.rules import FillRules
from pipelines.build.prepare import BuildConfiguration
from pipelines.orchestration.instance import identify_run
from pipelines.scanners.build_configuration import configure_build
from pipelines.scanners.project import HomeProject
from pipelines.settings import Settings
from pipelines.sources.limits import Limits, configured_limits
from pipelines.storage.location import Lake
from pipelines.storage.locks import home_lock


class MarketlakeResource(dg.ConfigurableResource):
    """Where things are, for assets. Values come from `Settings` when the code location loads."""

    home: str = Field(description="Holds lake/, marketlake.duckdb and .state/.")
    exchanges: list[str] = Field(description="Exchanges of the home, as MICs.")
    lake_uri: str = Field(description="Root of the lake: a path or a URI.")
    inbox: str = Field(description="Drop folder of live bar files.")
    max_live_file_mb: int = Field(default=256, ge=1, description="Largest file of live bars, MiB.")
    backtest_cash: float = Field(default=1_000_000.0, gt=0, description="Initial cash of the nightly backtest.")
    backtest_cost_bps: float = Field(default=5.0, ge=0, description="Broker and slippage, basis points a side.")
    backtest_depository_charge: float = Field(default=15.34, ge=0, description="Rupees per instrument and day of a delivery sale.")
    backtest_state_stamp_bps: float = Field(default=1.0, ge=0, description="Stamp duty before 2020-07-01, basis points a side.")
    backtest_before_cost_table: str = Field(default="assume", description="Dates before a cost table: assume or refuse.")
    backtest_volume_share: float = Field(default=0.1, gt=0, le=1, description="Most of a bar's volume that an entry takes.")
    locked_move: float = Field(default=0.015, gt=0, lt=1, description="Move from which a session at one price counts as locked.")
    delisting_haircut: float = Field(default=0.3, ge=0, le=1, description="Part of its last price that a delisted share loses.")
    keep_catalogues_days: int = Field(default=7, ge=1, description="Age at which unpublished catalogues are deleted.")
    indicators_file: str | None = Field(default=None, description="File of indicators with chosen parameters.")
    scanners_file: str | None = Field(default=None, description="File of rule scanners.")
    universe_files: str | None = Field(default=None, description="CSV of universes, or a folder of such files.")
    liquid_value: float = Field(default=10_000_000.0, gt=0, description="Traded value above which an instrument is liquid.")
    suspected_actions: str = Field(default="withhold", description="Signals across suspected actions: withhold or mark.")
    max_unpacked_mb: int = Field(default=512, ge=1, description="Most that one vendor file may hold unpacked, MiB.")
    max_packing_ratio: int = Field(default=250, ge=2, description="Most that a packed file may grow, times its size.")
    max_archive_members: int = Field(default=1_000, ge=1, description="Most files that an archive may hold.")
    max_line_bytes: int = Field(default=100_000, ge=100, description="Longest line of a text file, bytes.")
    max_rows_in_file: int = Field(default=10_000_000, ge=1, description="Most rows of one file, held in memory together.")
    checked_past_sessions: int = Field(default=3, ge=0, description="Past sessions that the checks of a full build scan again.")
    stale_after_sessions: int = Field(default=2, ge=1, description="Sessions behind the calendar from which an exchange is stale.")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Name the process that executes the run."""
        identify_run(context)

    @classmethod
    def from_settings(cls, settings: Settings) -> MarketlakeResource:
        """The resource of a home."""
        return cls(
            home=str(settings.home),
            exchanges=list(settings.exchanges),
            lake_uri=settings.lake_root,
            inbox=str(settings.inbox_dir),
            max_live_file_mb=settings.max_live_file_mb,
            backtest_cash=settings.backtest_cash,
            backtest_cost_bps=settings.backtest_cost_bps,
            backtest_depository_charge=settings.backtest_depository_charge,
            backtest_state_stamp_bps=settings.backtest_state_stamp_bps,
            backtest_before_cost_table=settings.backtest_before_cost_table,
            backtest_volume_share=settings.backtest_volume_share,
            locked_move=settings.locked_move,
            delisting_haircut=settings.delisting_haircut,
            keep_catalogues_days=settings.keep_catalogues_days,
            indicators_file=str(settings.indicators) if settings.indicators else None,
            scanners_file=str(settings.scanners) if settings.scanners else None,
            universe_files=str(settings.universes) if settings.universes else None,
            liquid_value=settings.liquid_value,
            suspected_actions=settings.suspected_actions,
            max_unpacked_mb=settings.max_unpacked_mb,
            max_packing_ratio=settings.max_packing_ratio,
            max_archive_members=settings.max_archive_members,
            max_line_bytes=settings.max_line_bytes,
            max_rows_in_file=settings.max_rows_in_file,
            checked_past_sessions=settings.checked_past_sessions,
            stale_after_sessions=settings.stale_after_sessions,
        )

    @property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(self.lake_uri, Path(self.home) / "calendars", self.project.indicators)

    @property
    def limits(self) -> Limits:
        """How much one vendor file may take."""
        return configured_limits(self)

    @property
    def build_configuration(self) -> BuildConfiguration:
        """What the home states about its builds. Raises RuleFileError, UniverseError."""
        return configure_build(self.exchanges, self.project)

    @property
    def state_dir(self) -> Path:
        """Derived state of the home."""
        return Path(self.home) / ".state"

    @property
    def project(self) -> HomeProject:
        """The dbt project of the home."""
        names = (self.indicators_file, self.scanners_file, self.universe_files)
        indicators, rules, universes = (Path(name) if name else None for name in names)
        return HomeProject(self.state_dir, indicators, rules, universes, self.liquid_value, self.suspected_actions)

    @property
    def reports_dir(self) -> Path:
        """Reports that people open."""
        return Path(self.home) / "reports"

    @property
    def costs(self) -> CostSettings:
        """What nightly backtest and track record charge."""
        return configured_costs(self)

    def shaping_config(self) -> dict[str, float | str]:
        """The settings that shape results; part of every release."""
        return {
            "backtest_cash": self.backtest_cash,
            "backtest_cost_bps": self.backtest_cost_bps,
            "backtest_depository_charge": self.backtest_depository_charge,
            "backtest_state_stamp_bps": self.backtest_state_stamp_bps,
            "backtest_before_cost_table": self.backtest_before_cost_table,
            "backtest_volume_share": self.backtest_volume_share,
            "locked_move": self.locked_move,
            "delisting_haircut": self.delisting_haircut,
        }

    @property
    def fill_rules(self) -> FillRules:
        """What limits fills in the nightly backtest and the track record."""
        return configured_fills(self)

    @property
    def catalogue_link(self) -> Path:
        """The published catalogue."""
        return Path(self.home) / "marketlake.duckdb"


class WriterLock(dg.ConfigurableResource):
    """Mutual exclusion of everything that writes: held from a run's start to its end, in daemon and command-line runs alike."""

    home: str = Field(description="Home whose writers exclude each other.")
    wait_seconds: float = Field(default=0.0, ge=0, description="How long to wait for another writer.")

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[WriterLock]:
        """Hold the lock while the run's steps execute."""
        # Before waiting: a run that is killed while it waits must be found as well.
        identify_run(context)
        purpose = f"run {context.run.run_id[:8]} of {context.run.job_name}" if context.run else "a step outside any run"
        with home_lock(Path(self.home) / ".state", purpose, timedelta(seconds=self.wait_seconds)):
            yield self


def run_resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:
    """What the assets and checks of every job ask for, by name."""
    return {
        "marketlake": MarketlakeResource.from_settings(settings),
        "lock": WriterLock(home=str(settings.home), wait_seconds=settings.run_wait_seconds),
    }
