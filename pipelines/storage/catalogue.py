"""The published catalogue: the DuckDB file that analysts open.

Lives here: writing a release's catalogue and publishing it by an atomic swap of a symbolic link.
Does not live here: what a release is (`releases.py`); running queries (`query.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from pipelines.market.schema import TableSchema
from pipelines.market.tables.operations import RELEASES
from pipelines.market.tables.views import LATEST_ROWS, latest, of_release, with_marks
from pipelines.storage.adjusted_views import create_adjusted_views
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.marks import mark_expression
from pipelines.storage.relations import literal, quoted, select_files
from pipelines.storage.releases import Release, releases_frame
from pipelines.storage.scoreboard import READ, create_scoreboard_view

#: What the views in today's price basis read.
_ADJUSTABLE = {"bars_daily", "corporate_actions", "indicators_daily"}
#: The table whose rows are shown with the release.
_SIGNALS = "scanner_signals"
#: Tables whose values may span a suspected action.
_MARKED = ("indicators_daily", "indicators_1m")


def publish_catalogue(
    lake: Lake,
    release: Release,
    schemas: Mapping[str, TableSchema],
    history: Iterable[Release],
    state_dir: Path,
    link: Path,
) -> Path:
    """Make `link` point to the release's catalogue, writing that first where it is missing. Returns the catalogue's path.

    The link is replaced by a rename: a reader sees the old catalogue or the new one. The file itself is never written again.
    """
    path = write_catalogue(lake, release, schemas, history, state_dir)
    crash_point("catalogue.written")
    target = os.path.relpath(path, link.parent)
    if not (link.is_symlink() and os.readlink(link) == target):
        temporary = link.with_name(f".{link.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        os.replace(temporary, link)
    crash_point("catalogue.published")
    return path


def write_catalogue(
    lake: Lake, release: Release, schemas: Mapping[str, TableSchema], history: Iterable[Release], state_dir: Path
) -> Path:
    """The catalogue file of a release (mode 0444), written aside and renamed when complete."""
    folder = state_dir / "catalogue"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{release.release_id}.duckdb"
    if path.exists():
        return path
    temporary = folder / f".{release.release_id}.{os.getpid()}.tmp"
    temporary.unlink(missing_ok=True)
    with duckdb.connect(str(temporary)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # One transaction: each comment by itself would wait for the disk.
        connection.begin()
        shown = _create_views(connection, lake, release, schemas)
        if shown.keys() >= _ADJUSTABLE:
            for view in create_adjusted_views(connection, shown["bars_daily"], shown["indicators_daily"]):
                _comment(connection, view)
        if shown.keys() >= set(READ):
            _comment(connection, create_scoreboard_view(connection))
        for name in LATEST_ROWS:
            if name in shown:
                _copy_latest(connection, shown[name])
        connection.register("history", releases_frame([r for r in history if r.sequence <= release.sequence]).to_arrow())
        connection.execute("CREATE TABLE releases AS SELECT * FROM history ORDER BY sequence")
        connection.unregister("history")
        _comment(connection, RELEASES, kind="TABLE")
        connection.commit()
    temporary.chmod(0o444)
    os.replace(temporary, path)
    return path


def delete_old_catalogues(state_dir: Path, link: Path, keep_days: int) -> int:
    """Delete catalogues that are not published and older than `keep_days`; readers that hold one keep their open file."""
    current = link.resolve() if link.is_symlink() else None
    limit = time.time() - keep_days * 86_400
    removed = 0
    for path in (state_dir / "catalogue").glob("*.duckdb"):
        if path != current and path.stat().st_mtime < limit:
            path.unlink()
            removed += 1
    return removed


def _create_views(
    connection: duckdb.DuckDBPyConnection, lake: Lake, release: Release, schemas: Mapping[str, TableSchema]
) -> dict[str, TableSchema]:
    """Create a view of each table and return what the views show: `schemas` with the columns that the catalogue adds."""
    shown = dict(schemas)
    if _SIGNALS in schemas:
        shown[_SIGNALS] = of_release(schemas[_SIGNALS])
    # price_flags first: marks are read from it.
    for name in sorted(schemas, key=lambda table: (table in _MARKED, table)):
        body = _union(lake, release, schemas[name])
        if name in _MARKED and "price_flags" in schemas:
            shown[name] = with_marks(schemas[name])
            body = f"SELECT *, {mark_expression(connection)} AS suspected_action FROM ({body})"
        connection.execute(f"CREATE VIEW {quoted(name)} AS {body}")
        _comment(connection, shown[name])
    return shown


def _union(lake: Lake, release: Release, schema: TableSchema) -> str:
    parts = []
    for exchange, versions in sorted(release.table_versions.items()):
        if schema.name in versions:
            table = LakeTable(lake.table_uri(exchange, schema.name), schema)
            files = table.files(versions[schema.name])
            if files:
                parts.append(select_files(schema, files, table.columns(versions[schema.name])))
    body = " UNION ALL ".join(parts) if parts else select_files(schema, [])
    if schema.name != _SIGNALS:
        return body
    return f"SELECT *, {literal(release.release_id)} AS release_id FROM ({body})"


def newest_rows(name: str) -> str:
    """A SELECT of each instrument's last rows of a table of `LATEST_ROWS`."""
    return (
        f"SELECT * FROM {name} "
        f"QUALIFY row_number() OVER (PARTITION BY exchange, instrument_id ORDER BY session_date DESC) <= {LATEST_ROWS[name]} "
        "ORDER BY instrument_id, session_date"
    )


def _copy_latest(connection: duckdb.DuckDBPyConnection, schema: TableSchema) -> None:
    """Keep the newest rows inside the file, so that they come without opening Parquet."""
    copy = latest(schema)
    connection.execute(f"CREATE TABLE {copy.name} AS {newest_rows(schema.name)}")
    _comment(connection, copy, kind="TABLE")


def _comment(connection: duckdb.DuckDBPyConnection, schema: TableSchema, kind: str = "VIEW") -> None:
    connection.execute(f"COMMENT ON {kind} {quoted(schema.name)} IS {literal(schema.description)}")
    for column in schema.columns:
        connection.execute(f"COMMENT ON COLUMN {quoted(schema.name)}.{quoted(column.name)} IS {literal(column.comment)}")
