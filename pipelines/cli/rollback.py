"""The command `marketlake rollback`.

Lives here: its arguments, and publishing the release that was asked for.
Does not live here: what a hold is (`storage/hold.py`), what a catalogue shows (`storage/catalogue.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.console import USAGE, fail, say, say_json
from pipelines.cli.options import Json, Wait, read_settings, user_name

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.storage.location import Lake
    from pipelines.storage.releases import Release


def rollback(
    release: Annotated[str | None, typer.Argument(help="Id of the release to publish again, or how it begins.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="End the hold and publish the newest release.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with your user name and shown by every nightly run.")] = "",
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Publish an older release again: what analysts open and scans read. Tables and releases stay as they are.

    It stays published: nightly runs go on building and releasing, say so, and leave the catalogue where it is until --clear.

    Example: marketlake rollback r00001 --reason "vendor's splits of last night were wrong"
    """
    from pipelines.storage.hold import Hold, clear_hold, read_hold, set_hold
    from pipelines.storage.location import Lake
    from pipelines.storage.locks import LockHeldError, home_lock
    from pipelines.storage.releases import UnknownReleaseError, latest_release
    from pipelines.storage.retention import find_kept_release

    if clear == (release is not None):
        fail("give the id of a release, or --clear", USAGE)
    settings = read_settings(wait)
    lake = Lake.from_settings(settings)
    try:
        with home_lock(settings.state_dir, "rollback", settings.lock_wait):
            if release is None:
                chosen = latest_release(lake)
                if chosen is None:
                    fail("nothing is released yet; run `marketlake nightly`")
                _publish(settings, lake, chosen)
                clear_hold(lake)
            else:
                chosen = find_kept_release(lake, release)
                # Published first: a release whose catalogue cannot be written is not held.
                _publish(settings, lake, chosen)
                set_hold(lake, Hold(chosen.release_id, datetime.now(UTC), user_name(), reason.strip()))
            hold = None if clear else read_hold(lake)
    except UnknownReleaseError as error:
        fail(str(error), USAGE)
    except LockHeldError as error:
        fail(str(error))
    if as_json:
        say_json({"published": chosen.release_id, "held": hold is not None})
    else:
        say(f"{chosen.release_id} is published" if hold is None else hold.describe())


def _publish(settings: Settings, lake: Lake, release: Release) -> None:
    """Point analysts to a release whose files are all there."""
    from pipelines.indicators.tables import home_tables
    from pipelines.market.tables import TABLES
    from pipelines.storage.catalogue import publish_catalogue
    from pipelines.storage.release_integrity import damaged_tables
    from pipelines.storage.releases import releases

    schemas = {name: schema for name, schema in {**TABLES, **home_tables(lake.indicators)}.items() if name != "releases"}
    for damage in damaged_tables(lake, release, schemas, deep=False):
        fail(f"{release.release_id} cannot be published: {damage}")
    publish_catalogue(lake, release, schemas, releases(lake), settings.state_dir, settings.catalogue_link)
