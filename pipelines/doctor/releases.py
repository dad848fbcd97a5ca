"""Checks of what is published: the release, the catalogue that shows it, the code that built it.

Lives here: what concerns all exchanges together.
Does not live here: how far an exchange's sessions reach (`exchanges.py`), runs that failed (`runs.py`).
"""

from __future__ import annotations

from pathlib import Path

from pipelines.doctor.model import Finding
from pipelines.package_data import code_version
from pipelines.settings import Settings
from pipelines.storage.hold import Hold
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release


def check_release(settings: Settings, last: Release | None) -> Finding:
    """Whether there is anything to look at, and the lake has on record what analysts see."""
    link = settings.catalogue_link
    shown = link.resolve().stem if link.is_symlink() and link.exists() else None
    if shown is not None and (last is None or shown > last.release_id):
        known = "the lake has no release on record" if last is None else f"the newest release on record is {last.release_id}"
        return Finding("release", "error", f"{link} shows {shown}, and {known}: entries were lost", "run `marketlake repair`")
    if last is None:
        advice = "run `marketlake demo`, or ingest files and run `marketlake nightly`"
        return Finding("release", "error", "nothing is released yet", advice)
    return Finding("release", "ok", f"{last.release_id} of {last.created_at:%Y-%m-%d %H:%M} UTC")


def check_catalogue(settings: Settings, lake: Lake, last: Release | None, hold: Hold | None) -> Finding:
    """Whether the file that analysts open shows the latest release, or the one that is held, and every relation can be read."""
    link = settings.catalogue_link
    if last is None:
        return Finding("catalogue", "ok", "none needed yet")
    if not link.exists():
        advice = "run any `marketlake sql` query, which publishes it again"
        return Finding("catalogue", "error", f"{link} leads nowhere", advice)
    shown = link.resolve()
    expected = hold.release_id if hold else last.release_id
    if shown.stem != expected:
        return Finding("catalogue", "error", f"{link} shows {shown.stem}, not {expected}", "run `marketlake nightly`")
    unreadable = _unreadable(settings, lake)
    if unreadable is not None:
        return _catalogue_error(shown, *unreadable)
    if hold and hold.release_id != last.release_id:
        message, _, advice = hold.describe().partition("; ")
        return Finding("catalogue", "warning", f"{message}; the newest is {last.release_id}", advice)
    return Finding("catalogue", "ok", f"{link} shows {expected}")


def _catalogue_error(shown: Path, relation: str | None, reason: str) -> Finding:
    if relation is None:
        advice = f"delete {shown}, then run any `marketlake sql` query, which makes it again"
        return Finding("catalogue", "error", f"{shown} cannot be read: {reason}", advice)
    advice = f"run `marketlake repair`, which brings back {relation} where it can be; else restore its files from a backup"
    return Finding("catalogue", "error", f"{relation} cannot be read: {reason}", advice)


def _unreadable(settings: Settings, lake: Lake) -> tuple[str | None, str] | None:
    """The first relation of the catalogue that cannot be read, with the reason; None for it where the file itself does not open."""
    import duckdb

    from pipelines.storage.query import open_catalogue
    from pipelines.storage.relations import quoted

    relation = None
    try:
        with open_catalogue(settings.catalogue_link, lake) as connection:
            names = connection.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall()
            for (relation,) in names:
                connection.execute(f"SELECT * FROM {quoted(relation)} LIMIT 1").fetchall()
    except duckdb.Error as error:
        return relation, str(error).splitlines()[0]
    return None


def check_code(last: Release | None) -> Finding:
    """Whether the latest release was built by the code that is installed."""
    if last is None or last.code_version == code_version():
        return Finding("code", "ok", code_version())
    message = f"the release was built by {last.code_version}, this is {code_version()}"
    return Finding("code", "warning", message, "the next `marketlake nightly` rebuilds everything with this code")
