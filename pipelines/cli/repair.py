"""The command `marketlake repair`.

Lives here: its arguments, the order of its steps (releases, tables, build), and how it prints.
Does not live here: the repairs (`maintenance/repair.py`), the nightly job (`orchestration/nightly_run.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.console import fail, progress, say, say_json, warn
from pipelines.cli.options import Exchange, Json, Wait, configured, read_settings

if TYPE_CHECKING:
    from pipelines.maintenance.repair import Repaired
    from pipelines.settings import Settings


def repair(
    exchange: Exchange = None,
    build: Annotated[
        bool, typer.Option("--build/--no-build", help="Build and release what was repaired; else the next nightly run does.")
    ] = True,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Bring damaged or lost tables back: derived ones are built again from bars, bars come from the kept raw files.

    Reads every file of the lake, compares it with what was written, and says what it did. Takes back commits that other programs
    made. Where nothing is wrong, nothing is changed. Ends with 1 where something cannot be brought back.

    Example: marketlake repair
    """
    from pipelines.storage.errors import DamagedTableError
    from pipelines.storage.locks import LockHeldError, home_lock

    settings = read_settings(wait)
    mics = [configured(settings, exchange)] if exchange else list(settings.exchanges)
    try:
        with home_lock(settings.state_dir, "repair", settings.lock_wait), progress("comparing and repairing", quiet=as_json):
            done, lost = repair_home(settings, mics, build=build)
    except (LockHeldError, DamagedTableError) as error:
        fail(str(error))
    if as_json:
        say_json({"done": done, "lost": lost})
    else:
        for line in done or ([] if lost else ["nothing is damaged; nothing was changed"]):
            say(line)
        for line in lost:
            warn(line)
    raise typer.Exit(1 if lost else 0)


def repair_home(settings: Settings, mics: Sequence[str], *, build: bool) -> tuple[list[str], list[str]]:
    """Repair releases and exchanges of a home, then build what has to be. Returns lines on what was done, and on what is lost."""
    from pipelines.maintenance.repair import copy_built_again, repair_exchange, repair_releases
    from pipelines.sources.limits import configured_limits
    from pipelines.storage.location import Lake
    from pipelines.storage.releases import latest_release

    lake = Lake.from_settings(settings)
    if not lake.is_local:
        fail(f"{lake.root} is no folder of this machine: restore what is damaged from the store's own versions or from a backup")
    parts = [repair_releases(lake, settings.state_dir / "catalogue")]
    for mic in mics:
        found = repair_exchange(lake, mic, latest_release(lake), settings.state_dir, configured_limits(settings))
        parts.append(found)
        if found.needs_build and build:
            _build(settings, mic, found)
            copy_built_again(found)
        elif found.needs_build:
            found.done.append(f"{mic}: run `marketlake nightly --exchange {mic}`, which builds and releases it")
    return [line for part in parts for line in part.done], [line for part in parts for line in part.lost]


def _build(settings: Settings, mic: str, found: Repaired) -> None:
    from pipelines.definitions import build_definitions
    from pipelines.orchestration.nightly_run import nightly, nightly_summary
    from pipelines.orchestration.runs import JobFailedError

    try:
        summary = nightly_summary(settings, mic, nightly(settings, mic, build_definitions, full=True))
    except JobFailedError as error:
        found.lost.append(f"{mic}: the tables are repaired, and the build after it failed: {error}")
        return
    found.done.append(f"{mic}: built whole from its bars, and published as {summary['release_id']}")
