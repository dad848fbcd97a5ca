"""The commands `marketlake backup` and `marketlake restore`.

Lives here: their arguments and how they print.
Does not live here: what is backed up and how it comes back (`maintenance/backups/`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.console import USAGE, counted, fail, progress, say, say_json, table, warn
from pipelines.cli.options import Json, read_settings

if TYPE_CHECKING:
    from pipelines.maintenance.backups.folder import BackupFolder


def backup(
    target: Annotated[str, typer.Argument(help="Folder of this home's backups, best on another disk.", metavar="FOLDER")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Then read every file of all backups there and compare it with its checksum.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Back this home up while runs go on: lake with its releases and history, raw files, calendars, strategies, settings.

    Files that are there are not copied again. A backup that is killed is none; those before it stay as they are. Ends with 1
    where something cannot be kept, or is damaged in the backup.

    Example: marketlake backup /mnt/backups/marketlake --verify
    """
    from pipelines.maintenance.backups.folder import BackupError
    from pipelines.maintenance.backups.home_files import NOT_KEPT
    from pipelines.maintenance.backups.make import make_backup
    from pipelines.maintenance.backups.snapshot import BusyLakeError

    folder, settings, begun = _folder(target), read_settings(), time.monotonic()
    if "://" in settings.lake_root:
        fail(
            f"the lake at {settings.lake_root} is no folder: an object store is backed up by its own versions or replication", USAGE
        )
    try:
        with progress("copying what is new", quiet=as_json):
            made = make_backup(settings, folder, datetime.now(UTC))
        checked = None
        if verify:
            with progress("reading the backups", quiet=as_json):
                checked = folder.verify()
    except (BackupError, BusyLakeError) as error:
        fail(str(error))
    kept, problems = made.backup, [*made.backup.left_out, *(checked[2] if checked else ())]
    if as_json:
        say_json(
            {
                "backup": kept.backup_id,
                "folder": str(folder.folder),
                "published": kept.published,
                "releases": len(kept.releases),
                "tables": kept.tables,
                "files": len(kept.files),
                "bytes": kept.size_bytes,
                "copied_files": made.copied_files,
                "copied_bytes": made.copied_bytes,
                "left_out": list(kept.left_out),
                "not_kept": [{"what": what, "why": why} for what, why in NOT_KEPT],
                "verified": None if checked is None else {"files": checked[0], "bytes": checked[1], "damaged": checked[2]},
            }
        )
    else:
        say(f"backup {kept.backup_id} of {settings.home} in {folder.folder} ({time.monotonic() - begun:,.1f} s)")
        say(
            f"{counted(len(kept.tables), 'table')}, {counted(len(kept.releases), 'release')}, published: {kept.published or 'none'}"
        )
        rows = [
            ["kept", len(kept.files), f"{kept.size_bytes / 1e6:,.1f}"],
            ["copied now", made.copied_files, f"{made.copied_bytes / 1e6:,.1f}"],
        ]
        if checked:
            rows.append(["read and compared", checked[0], f"{checked[1] / 1e6:,.1f}"])
        table(["", "files", "MB"], rows)
        table(["not kept", "why"], [list(entry) for entry in NOT_KEPT])
        for line in problems:
            warn(line)
    raise typer.Exit(1 if problems else 0)


def restore(
    source: Annotated[str, typer.Argument(help="Folder of backups.", metavar="FOLDER")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Empty folder that becomes the home; default: this home.", metavar="HOME")
    ] = None,
    backup_id: Annotated[str | None, typer.Option("--backup", help="This backup instead of the newest.", metavar="ID")] = None,
    as_json: Json = False,
) -> None:
    """Restore a home from its backup into an empty folder, at any path; every file is compared with its checksum on the way.

    Example: marketlake restore /mnt/backups/marketlake --to /srv/marketlake
    """
    from pipelines.maintenance.backups.folder import BackupError
    from pipelines.maintenance.backups.home_files import NOT_KEPT
    from pipelines.maintenance.backups.restore import restore_home
    from pipelines.maintenance.moved_home import publish_release
    from pipelines.storage.location import Lake

    folder, settings, begun = _folder(source), read_settings(home=to), time.monotonic()
    if "://" in settings.lake_root:
        fail(f"the lake at {settings.lake_root} is no folder: unset MARKETLAKE_LAKE_URI to restore into one", USAGE)
    try:
        with progress("restoring", quiet=as_json):
            done = restore_home(settings, folder, backup_id)
            published = publish_release(Lake.from_settings(settings), settings.state_dir, settings.catalogue_link)
    except BackupError as error:
        fail(str(error))
    kept = done.backup
    if as_json:
        say_json(
            {
                "backup": kept.backup_id,
                "home": str(done.home),
                "published": published,
                "releases": len(kept.releases),
                "tables": kept.tables,
                "files": len(kept.files),
                "bytes": kept.size_bytes,
                "left_out": list(kept.left_out),
                "not_kept": [{"what": what, "why": why} for what, why in NOT_KEPT],
            }
        )
        return
    size = f"{counted(len(kept.files), 'file')}, {kept.size_bytes / 1e6:,.1f} MB"
    say(f"restored {kept.backup_id} to {done.home}: {size} ({time.monotonic() - begun:,.1f} s)")
    say(f"{counted(len(kept.tables), 'table')}, {counted(len(kept.releases), 'release')}, published: {published or 'none'}")
    table(["not kept", "why"], [list(entry) for entry in NOT_KEPT])
    for line in kept.left_out:
        warn(f"the backup was made without it: {line}")


def _folder(place: str) -> BackupFolder:
    """The folder of backups at an address; one of another kind of store ends the command."""
    from pipelines.maintenance.backups.folder import BackupFolder

    kind, sign, rest = place.partition("://")
    if sign and kind != "file":
        fail(f"{kind}:// is not supported for backups: give a folder, and copy it there by the store's own tool", USAGE)
    return BackupFolder(Path(rest if sign else place).expanduser().absolute())
