"""Publishing a release from a run.

Lives here: which tables a release holds, and recording and publishing one with the resource's settings.
Does not live here: what a release and a catalogue are (`storage/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.indicators.tables import home_tables
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.market.home_calendar import home_calendar
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.orchestration.resources import MarketlakeResource
from pipelines.package_data import code_version
from pipelines.storage.catalogue import delete_old_catalogues, publish_catalogue
from pipelines.storage.crash_points import crash_point
from pipelines.storage.hold import Hold, read_hold
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release, find_release, latest_release, record_release, releases
from pipelines.storage.upsert import replace_rows


@dataclass(frozen=True)
class PublishedRelease:
    """A release and the catalogue file that analysts open. `is_new` is false when nothing had changed.

    `hold`: another release stays published.
    """

    release: Release
    catalogue: Path
    is_new: bool
    hold: Hold | None = None


def release_tables(lake: Lake) -> dict[str, TableSchema]:
    """Every table of an exchange that a release of this lake pins."""
    return {name: schema for name, schema in {**TABLES, **home_tables(lake.indicators)}.items() if name != "releases"}


def publish_release(marketlake: MarketlakeResource, mic: str, versions: Mapping[str, int], sessions: list[Any]) -> PublishedRelease:
    """Record the release of an exchange's versions and swap the catalogue to it, or to the one that is held."""
    sessions_version = replace_rows(
        marketlake.lake,
        mic,
        TABLES["sessions"],
        traded_calendar(marketlake.lake, mic, versions).frame(),
        lambda stored: stored.get_column("exchange") == mic,
        None,
        {"calendar": mic},
    )
    pinned = {**versions, **({"sessions": sessions_version} if sessions_version is not None else {})}
    release, is_new = record_release(
        marketlake.lake,
        mic,
        pinned,
        code_version=code_version(),
        config={**marketlake.shaping_config(), **_calendar_config(marketlake.lake, mic)},
        sessions=sessions,
        built_with=marketlake.build_configuration.fingerprint,
    )
    crash_point("release.recorded")
    hold = read_hold(marketlake.lake)
    path = publish_catalogue(
        marketlake.lake,
        release if hold is None else find_release(marketlake.lake, hold.release_id),
        release_tables(marketlake.lake),
        releases(marketlake.lake),
        marketlake.state_dir,
        marketlake.catalogue_link,
    )
    delete_old_catalogues(marketlake.state_dir, marketlake.catalogue_link, marketlake.keep_catalogues_days)
    return PublishedRelease(release, path, is_new, hold)


def _calendar_config(lake: Lake, mic: str) -> dict[str, dict[str, str]]:
    """Hashes of the home's calendar files by exchange, for others those of the last release; nothing where there are none."""
    last, own = latest_release(lake), home_calendar(mic, lake.calendars)
    others = {name: recorded for name, recorded in (last.config.get("calendars", {}) if last else {}).items() if name != mic}
    known = {**others, mic: own.fingerprint} if own else others
    return {"calendars": dict(sorted(known.items()))} if known else {}
