"""The commands `marketlake releases` and `marketlake releases keep`.

Lives here: their arguments and how they print.
Does not live here: the rule by which releases are kept (`storage/retention.py`), publishing an older one (`rollback.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from pipelines.cli.console import USAGE, fail, say, say_json, table
from pipelines.cli.options import Json, Wait, read_settings, user_name

releases = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@releases.callback()
def list_releases(context: typer.Context, as_json: Json = False) -> None:
    """List releases, newest first: the table versions that `sql` reads together. `keep` marks one to be kept.

    Each stays 90 days, then the last of each month and those marked; `marketlake maintain` deletes files that only others have.

    Example: marketlake releases
    """
    from pipelines.storage.location import Lake
    from pipelines.storage.releases import releases as all_releases
    from pipelines.storage.retention import read_retention

    if context.invoked_subcommand is not None:
        return
    lake = Lake.from_settings(read_settings())
    found, retention = list(reversed(all_releases(lake))), read_retention(lake)
    if as_json:
        state = {
            r.release_id: {"kept": r.release_id in retention.marked, "expired_at": retention.expired.get(r.release_id)}
            for r in found
        }
        say_json([{**vars(r), **state[r.release_id]} for r in found])
        return
    if not found:
        say("no release yet; run `marketlake nightly` or `marketlake demo`")
        return
    shown = {name: f"kept: {mark.reason}" if mark.reason else "kept" for name, mark in retention.marked.items()}
    shown |= {name: f"expired {moment:%Y-%m-%d}" for name, moment in retention.expired.items()}
    rows = [
        [
            r.release_id,
            f"{r.created_at:%Y-%m-%d %H:%M:%S} UTC",
            r.code_version,
            ", ".join(f"{m} {s[0]} to {s[1]}" for m, s in r.sessions.items() if s),
            *([shown.get(r.release_id, "")] if shown else []),
        ]
        for r in found
    ]
    table(["release_id", "created_at", "code_version", "sessions built", *(["kept"] if shown else [])], rows)


@releases.command("keep")
def keep(
    release: Annotated[str, typer.Argument(help="Id of the release, or how it begins.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with your user name.")] = "",
    clear: Annotated[bool, typer.Option("--clear", help="Take the mark away: the release expires as others do.")] = False,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Keep a release for ever: its versions of tables stay readable.

    Example: marketlake releases keep r00001 --reason "basis of the fund's report"
    """
    from pipelines.storage.location import Lake
    from pipelines.storage.locks import LockHeldError, home_lock
    from pipelines.storage.releases import UnknownReleaseError, find_release
    from pipelines.storage.retention import Mark, keep_release

    settings = read_settings(wait)
    lake = Lake.from_settings(settings)
    try:
        # A clean-up may be about to delete its files.
        with home_lock(settings.state_dir, "releases keep", settings.lock_wait):
            chosen = find_release(lake, release)
            keep_release(lake, chosen, None if clear else Mark(datetime.now(UTC), user_name(), reason.strip()))
    except UnknownReleaseError as error:
        fail(str(error), USAGE)
    except LockHeldError as error:
        fail(str(error))
    if as_json:
        say_json({"release_id": chosen.release_id, "kept": not clear})
        return
    say(f"{chosen.release_id} {'is kept no longer than others' if clear else 'is kept for ever'}")
