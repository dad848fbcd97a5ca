"""Settings: everything that can be configured, typed, read from the environment and `.env` in one place.

Lives here: `Settings` and the folders derived from it.
Does not live here: defaults of scanners and backtests (their own yml and dataclasses); secrets of brokers (their plug-ins).
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """Configuration of one marketlake home. Every field is `MARKETLAKE_<NAME>` in the environment; see `.env.example`."""

    model_config = SettingsConfigDict(env_ignore_empty=True, env_prefix="MARKETLAKE_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(default_factory=Path.cwd, description="Holds lake/, marketlake.duckdb and .state/.")
    lake_uri: str | None = Field(default=None, description="Root of the lake, a path or URI; default <home>/lake.")
    exchanges: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("XNSE", "XNYS"), description="Configured exchanges (MICs); the first is the default of --exchange."
    )
    indicators: Path | None = Field(
        default=None, description="YAML file of indicators with chosen parameters (relative to home); default none."
    )
    scanners: Path | None = Field(default=None, description="YAML file of rule scanners (relative to home); default none.")
    universes: Path | None = Field(
        default=None, description="CSV file of universes, or a folder of such files (relative to home); default none."
    )
    liquid_value: float = Field(
        default=10_000_000.0,
        gt=0,
        allow_inf_nan=False,
        description="Median daily traded value above which an instrument is liquid, exchange's currency.",
    )
    inbox: Path | None = Field(default=None, description="Drop folder of live bar files; default <home>/inbox.")
    keep_catalogues_days: int = Field(default=7, ge=1, description="Age at which unpublished catalogues are deleted.")
    wait_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="How long a second writer waits for the first.")
    backtest_cost_bps: float = Field(
        default=5.0, ge=0, allow_inf_nan=False, description="Costs of the nightly backtest, basis points a side."
    )
    backtest_cash: float = Field(
        default=1_000_000.0, gt=0, allow_inf_nan=False, description="Initial cash of the nightly backtest."
    )

    max_unpacked_mb: int = Field(default=1024, ge=1, le=1 << 20, description="Most that one vendor file may hold unpacked, MiB.")
    max_packing_ratio: int = Field(default=250, ge=2, description="Most that a packed file may grow, times its size.")
    max_archive_members: int = Field(default=1_000, ge=1, description="Most files that an archive may hold.")
    max_line_bytes: int = Field(default=100_000, ge=100, description="Longest line of a text file, bytes.")
    max_rows_in_file: int = Field(default=10_000_000, ge=1, description="Most rows of one file, held in memory together.")

    @field_validator("home", mode="after")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("indicators", "scanners", "universes", mode="after")
    @classmethod
    def _beside_home(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        return None if value is None else info.data.get("home", Path.cwd()) / value.expanduser()

    @field_validator("exchanges", mode="before")
    @classmethod
    def _split_exchanges(cls, value: object) -> object:
        if isinstance(value, str):
            value = tuple(part.strip() for part in value.split(",") if part.strip())
        if not value:
            raise ValueError("name at least one exchange, for example XNSE,XNYS")
        return value

    @cached_property
    def lake_root(self) -> str:
        """Root URI or path of the lake."""
        return self.lake_uri or str(self.home / "lake")

    @property
    def state_dir(self) -> Path:
        """Derived state: build databases, catalogues, Dagster home. Deleting it loses nothing but time."""
        return self.home / ".state"

    @property
    def catalogue_link(self) -> Path:
        """The published catalogue: what an analyst opens."""
        return self.home / "marketlake.duckdb"

    @property
    def manifest_dir(self) -> Path:
        """Where the dbt project is compiled to."""
        return self.state_dir / "dbt" / "manifest"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME of this marketlake home."""
        return self.state_dir / "dagster"

    @property
    def inbox_dir(self) -> Path:
        """Drop folder of live bar files."""
        return self.inbox or self.home / "inbox"

    @property
    def lock_wait(self) -> timedelta:
        """How long a second writer waits for the lock."""
        return timedelta(seconds=self.wait_seconds)
