"""The build database of a release: what people work on models with, apart from any nightly run.

Lives here: `prepare_release_database`, where it lies, and what is recorded beside it of the release it was made from.
Does not live here: the database of a nightly build (`prepare.py`), running dbt on it (`dbt/run.py`).

It lies apart from the nightly builds, is made from pinned versions and never committed: nothing that
dbt does in it reaches the lake.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from pipelines.build.plan import INPUTS, plan_build
from pipelines.build.prepare import BuildConfiguration, fill_database
from pipelines.ingest.freshness import NoBarsError, newest_session, sessions_with_bars
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release, latest_release
from pipelines.whole_files import write_whole

#: What a database was made for that holds every session in its windows.
ALL_SESSIONS = "all"


class NoReleaseError(RuntimeError):
    """Nothing of the exchange was released yet."""


@dataclass(frozen=True)
class ReleaseDatabase:
    """A prepared database: of which exchange and release, and which sessions its windows cover (a date, or `ALL_SESSIONS`)."""

    exchange: str
    release_id: str
    sessions: str

    def describe(self) -> str:
        """One line for people."""
        window = "every session" if self.sessions == ALL_SESSIONS else f"session {self.sessions}"
        return f"release {self.release_id} of {self.exchange}, {window} to build"


def release_database_path(state_dir: Path) -> Path:
    """The one database of releases in a home: that prepared last. Target `dev` of `dbt_project/profiles.yml` names it too."""
    return state_dir / "dbt" / "release.duckdb"


def release_target_dir(state_dir: Path) -> Path:
    """Where dbt writes its artefacts and logs when it works on that database."""
    return release_database_path(state_dir).with_name("release_target")


def prepared_database(state_dir: Path) -> ReleaseDatabase | None:
    """What the database there was made from; None where there is none, or one that was not finished."""
    record = _record_path(state_dir)
    if not record.is_file() or not release_database_path(state_dir).is_file():
        return None
    return ReleaseDatabase(**json.loads(record.read_text(encoding="utf-8")))


def prepare_release_database(
    lake: Lake,
    exchange: str,
    state_dir: Path,
    configuration: BuildConfiguration,
    *,
    session: date | None = None,
    full: bool = False,
    anew: bool = False,
) -> tuple[ReleaseDatabase, bool]:
    """A database with schema `lake` as in the exchange's latest release; and whether it was made just now.

    Its windows cover `session`, with `full` every session, by default the newest one. The database there is kept, with all that dbt
    built in it, when it is of this release and covers what was asked for, unless it is to be made `anew`. Raises NoReleaseError,
    and NoBarsError where the release has no bar of the session. Nothing is written then.
    """
    release = latest_release(lake)
    versions = release.versions(exchange) if release else {}
    if release is None or not versions:
        raise NoReleaseError(f"nothing of {exchange} is released yet: run `marketlake nightly --exchange {exchange}` first")
    there = prepared_database(state_dir)
    wanted = ALL_SESSIONS if full else str(session) if session else None
    if there and not anew and there == ReleaseDatabase(exchange, release.release_id, wanted or there.sessions):
        return there, False
    covered = [] if full else [_session_to_build(lake, exchange, release, session)]
    made = ReleaseDatabase(exchange, release.release_id, wanted or str(covered[0]))
    _record_path(state_dir).unlink(missing_ok=True)
    inputs = {name: versions[name] for name in INPUTS if name in versions}
    plan = plan_build(
        lake,
        exchange,
        versions,
        full=full,
        sessions=covered,
        named=configuration.universe_members.get_column("symbol").unique().to_list(),
        days=traded_calendar(lake, exchange, versions),
        pinned=inputs,
    )
    path = release_database_path(state_dir)
    fill_database(lake, plan, path, configuration, derived_versions=versions, records=versions, replaced=versions)
    _record(state_dir, made)
    return made, True


def _session_to_build(lake: Lake, exchange: str, release: Release, session: date | None) -> date:
    versions = release.versions(exchange)
    found = session or newest_session(lake, exchange, versions)
    if found is None or not sessions_with_bars(lake, exchange, [found], versions):
        what = f"bars of {session}" if session else "bars"
        raise NoBarsError(f"release {release.release_id} has no {what} of {exchange}")
    return found


def _record(state_dir: Path, made: ReleaseDatabase) -> None:
    write_whole(_record_path(state_dir), json.dumps(asdict(made)))


def _record_path(state_dir: Path) -> Path:
    return release_database_path(state_dir).with_suffix(".json")
