"""Settings: everything that can be configured, typed, read from the environment and `.env` in one place.

Lives here: `Settings` and the folders derived from it.
Does not live here: defaults of scanners and backtests (their own yml and dataclasses); secrets of brokers (their plug-ins).
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

#: What Delta, DuckDB or Hive-style partitions read as something other than a letter of a folder's name. A percent sign is one such
#: only before two hexadecimal digits.
_UNADDRESSABLE = re.compile(r"[\[\]{}*?\\^|=<>\"`\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")


#: Settings that no file holds.
FROM_ENVIRONMENT = frozenset({"alert_urls"})


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
    strategies: Path | None = Field(
        default=None, description="Folder of strategy files (relative to home); default <home>/strategies."
    )
    universes: Path | None = Field(
        default=None, description="CSV file of universes, or a folder of such files (relative to home); default none."
    )
    provisional_delay_days: int = Field(
        default=3, ge=0, description="Days for which the file of a provisional session is waited for before it counts as a holiday."
    )
    liquid_value: float = Field(
        default=10_000_000.0,
        gt=0,
        allow_inf_nan=False,
        description="Median daily traded value above which an instrument is liquid, exchange's currency.",
    )
    suspected_actions: Literal["withhold", "mark"] = Field(
        default="withhold",
        description="Signals across a suspected split or demerger that nobody decided: withhold them, or only mark it.",
    )
    inbox: Path | None = Field(default=None, description="Drop folder of live bar files; default <home>/inbox.")
    deliveries: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description="Folders whose files a run in the UI may be asked to ingest (relative to home); default <home>/deliveries.",
    )
    inbox_settle_seconds: float = Field(
        default=10.0, ge=0, allow_inf_nan=False, description="How long a live bar file must be unchanged before it is scanned."
    )
    max_live_file_mb: int = Field(default=256, ge=1, description="Largest file of live bars, MiB as it lies in the inbox.")
    vendor_inbox: Path | None = Field(
        default=None, description="Drop folder of vendor files, <MIC>/<source>/… in it; default: that of live bars."
    )
    vendor_inbox_settle_seconds: float = Field(
        default=60.0, ge=0, allow_inf_nan=False, description="How long vendor files must be unchanged before they are ingested."
    )
    reports_url: str | None = Field(
        default=None, description="Address at which <home>/reports is served; default: `marketlake ui` serves it beside its page."
    )
    keep_catalogues_days: int = Field(default=7, ge=1, description="Age at which unpublished catalogues are deleted.")
    wait_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="How long a second writer waits for the first.")
    run_wait_seconds: float = Field(
        default=3600.0, ge=0, allow_inf_nan=False, description="How long a run of the daemon or the UI waits for another writer."
    )
    stale_after_sessions: int = Field(
        default=2, ge=1, description="Sessions behind the calendar from which an exchange that is delivered daily is stale."
    )
    checked_past_sessions: int = Field(
        default=3,
        ge=0,
        description="Past sessions that the checks of a full build scan again with the future cut off; a night's take two at most.",
    )
    backtest_cost_bps: float = Field(
        default=5.0,
        ge=0,
        allow_inf_nan=False,
        description="Broker and slippage of nightly backtest and track record, basis points a side, beside statutory charges.",
    )
    backtest_depository_charge: float = Field(
        default=15.34,
        ge=0,
        allow_inf_nan=False,
        description="XNSE: rupees per instrument and day of a delivery sale, tax included.",
    )
    backtest_state_stamp_bps: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="XNSE: stamp duty on delivery before 2020-07-01 by the client's state, basis points a side.",
    )
    backtest_before_cost_table: Literal["assume", "refuse"] = Field(
        default="assume",
        description="Dates before the first line of a cost table: take its first rates and count it, or fail.",
    )
    backtest_cash: float = Field(
        default=1_000_000.0, gt=0, allow_inf_nan=False, description="Initial cash of the nightly backtest."
    )
    backtest_volume_share: float = Field(default=0.1, gt=0, le=1, description="Most of a bar's volume that an entry takes.")
    locked_move: float = Field(
        default=0.015, gt=0, lt=1, description="Move of a session at one price from which it counts as locked at its band."
    )
    delisting_haircut: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Part of its last price that a delisted share does not pay, unless the amount is stated.",
    )

    dagster_postgres_url: SecretStr | None = Field(
        default=None,
        description="postgresql://user:password@host:port/database for Dagster's history; default: SQLite files of the home.",
    )

    alert_urls: SecretStr | None = Field(
        default=None,
        description="Addresses of alerts, separated by blanks: apprise's, or file:///path; from the environment alone.",
    )
    alert_repeat_hours: float = Field(
        default=24.0, gt=0, allow_inf_nan=False, description="Hours after which a fault that was told and goes on is told again."
    )
    alert_most_per_hour: int = Field(default=10, ge=1, description="Messages in an hour; the next one counts those beyond.")
    ui_url: str | None = Field(
        default=None, description="Address of Dagster's UI for the links of alerts; default: that of the running `marketlake ui`."
    )

    max_quarantined_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of a file's rows in quarantine beyond which ingest ends with code 1; the other rows go in all the same.",
    )
    max_unpacked_mb: int = Field(default=512, ge=1, le=1 << 20, description="Most that one vendor file may hold unpacked, MiB.")
    max_packing_ratio: int = Field(default=250, ge=2, description="Most that a packed file may grow, times its size.")
    max_archive_members: int = Field(default=1_000, ge=1, description="Most files that an archive may hold.")
    max_line_bytes: int = Field(default=100_000, ge=100, description="Longest line of a text file, bytes.")
    max_rows_in_file: int = Field(default=10_000_000, ge=1, description="Most rows of one file, held in memory together.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """As inherited; what comes from the environment alone is left out of the file."""
        if isinstance(dotenv_settings, DotEnvSettingsSource):
            left_out = {f"{settings_cls.model_config['env_prefix']}{name}".lower() for name in FROM_ENVIRONMENT}
            kept = {name: value for name, value in dotenv_settings.env_vars.items() if name.lower() not in left_out}
            dotenv_settings.env_vars = kept
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    @field_validator("home", mode="after")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        home = value.expanduser().absolute()
        _require_addressable(str(home))
        return home

    @field_validator("lake_uri", mode="after")
    @classmethod
    def _addressable_lake(cls, value: str | None) -> str | None:
        if value is not None and "://" not in value:
            _require_addressable(value)
        return value

    @field_validator("dagster_postgres_url", mode="after")
    @classmethod
    def _url_of_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        # The message must not repeat the value, which has a password in it.
        if value is not None and not value.get_secret_value().startswith("postgresql://"):
            raise ValueError("is not a URL that begins with postgresql://")
        return value

    @field_validator("indicators", "scanners", "strategies", "universes", mode="after")
    @classmethod
    def _beside_home(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        return None if value is None else info.data.get("home", Path.cwd()) / value.expanduser()

    @field_validator("deliveries", mode="before")
    @classmethod
    def _split_deliveries(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

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
    def delivery_folders(self) -> tuple[Path, ...]:
        """Folders of vendor files that runs may name, as absolute paths."""
        return tuple(self.home / folder.expanduser() for folder in self.deliveries) or (self.home / "deliveries",)

    @property
    def calendars(self) -> Path:
        """Folder of the calendar files in which this home states sessions and holidays itself; there need not be one."""
        return self.home / "calendars"

    @property
    def catalogue_link(self) -> Path:
        """The published catalogue: what an analyst opens."""
        return self.home / "marketlake.duckdb"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME of this marketlake home."""
        return self.state_dir / "dagster"

    @property
    def reports_dir(self) -> Path:
        """The risk reports, one HTML file each."""
        return self.home / "reports"

    @property
    def strategies_dir(self) -> Path:
        """Folder of strategy files; there need not be one."""
        return self.strategies or self.home / "strategies"

    @property
    def inbox_dir(self) -> Path:
        """Drop folder of live bar files."""
        return self.inbox or self.home / "inbox"

    @property
    def vendor_inbox_dir(self) -> Path:
        """Drop folder of vendor files."""
        return self.vendor_inbox or self.inbox_dir

    @property
    def lock_wait(self) -> timedelta:
        """How long a second writer waits for the lock."""
        return timedelta(seconds=self.wait_seconds)


def _require_addressable(path: str) -> None:
    """ValueError where tables below a path could be written but not found again."""
    unusable = sorted({repr(part) for part in _UNADDRESSABLE.findall(path)})
    if unusable:
        raise ValueError(f"{path!r} has {', '.join(unusable)} in it, which a lake's path cannot have: rename the folder")
