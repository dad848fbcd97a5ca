"""The command `marketlake maintain`.

Lives here: its arguments and how it prints.
Does not live here: what is deleted (`maintenance/cleanup.py`, `orchestration/history.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.console import fail, progress, say, say_json, table
from pipelines.cli.options import Json, Wait, read_settings

if TYPE_CHECKING:
    from pipelines.maintenance.cleanup import Share
    from pipelines.settings import Settings


def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be freed, and delete nothing.")] = False,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Delete what the home no longer needs, and say what was freed and what was kept, and why.

    Staged batches, build databases, catalogues that are not published, logs, files of killed runs; releases older than 90 days, but
    for the last of each month and those marked by `marketlake releases keep`; Dagster's runs older than 90 days, but for the last
    materialisation of each session. Nothing that is younger than 7 days. Many small files of a table become one.

    Example: marketlake maintain --dry-run
    """
    from pipelines.maintenance.cleanup import clean_home
    from pipelines.storage.location import Lake
    from pipelines.storage.locks import LockHeldError, home_lock

    settings = read_settings(wait)
    try:
        with home_lock(settings.state_dir, "maintenance", settings.lock_wait), progress("maintenance", quiet=as_json):
            done = clean_home(
                Lake.from_settings(settings),
                settings.exchanges,
                settings.state_dir,
                settings.catalogue_link,
                datetime.now(UTC),
                keep_catalogues=timedelta(days=settings.keep_catalogues_days),
                dry_run=dry_run,
            )
            # Without a record there is nothing to prune; importing Dagster takes longer than all else.
            if (settings.dagster_home / "dagster.yaml").is_file():
                done = done.with_more(*_prune_history(settings, dry_run=dry_run))
    except LockHeldError as error:
        fail(str(error))
    if as_json:
        say_json(done.as_json())
        return
    verb = "would free" if dry_run else "freed"
    if not done.freed:
        say(f"{verb}: nothing")
    if done.compacted:
        rows = [[c.table, c.files, c.partitions, f"{c.size_bytes / 1e6:,.1f}"] for c in done.compacted]
        table(["would compact" if dry_run else "compacted", "files", "to files", "MB"], rows)
    for title, shares in ((verb, done.freed), ("kept", done.kept)):
        if shares:
            table([title, "files", "MB", "why"], [[s.what, s.count, f"{s.size_bytes / 1e6:,.1f}", s.why] for s in shares])


def _prune_history(settings: Settings, *, dry_run: bool) -> tuple[list[Share], list[Share]]:
    from pipelines.orchestration.history import prune_history
    from pipelines.orchestration.instance import open_instance

    with open_instance(settings) as instance:
        return prune_history(instance, datetime.now(UTC), dry_run=dry_run)
