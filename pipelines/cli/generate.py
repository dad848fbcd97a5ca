"""Writing the files that are made from the code and committed with it: `make generate`.

Lives here: which files there are, writing them, and which of a checkout are stale.
Does not live here: what is in them (`dbt/model_docs.py`, `build/source_docs.py`, `ingest/suites.py`,
`scanners/model_columns.py`, `data_dictionary.py`, `indicator_pages.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.build.source_docs import SOURCES_PATH, render_sources
from pipelines.cli.data_dictionary import render_dictionary
from pipelines.cli.indicator_pages import page
from pipelines.dbt.model_docs import HEADER, model_docs, path_of, render
from pipelines.indicators.registry import REGISTRY
from pipelines.indicators.tables import indicator_tables
from pipelines.ingest.suites import suite_path, suite_text
from pipelines.market.schema import TableSchema
from pipelines.market.tables import MERGED, TABLES
from pipelines.package_data import shipped
from pipelines.scanners.model_columns import with_signal_columns


def shipped_tables() -> dict[str, TableSchema]:
    """The tables of the lake with the built-in indicators: what an installation or a home adds is in no file of this checkout."""
    return {**TABLES, **indicator_tables(REGISTRY)}


def generated_files(tables: Mapping[str, TableSchema]) -> dict[str, str]:
    """Every file that is made from the code, by its path in the checkout."""
    models = {f"dbt_project/{path_of(doc).as_posix()}": render(doc) for doc in model_docs(tables)}
    suites = {
        f"expectations/{table.name}.json": suite_text(tables[table.name], suite_path(table.name).read_text(encoding="utf-8"))
        for table in MERGED
    }
    project = shipped("dbt_project")
    scanners = {
        f"dbt_project/{path.relative_to(project).as_posix()}": with_signal_columns(
            tables["scanner_signals"], path.read_text(encoding="utf-8")
        )
        for path in sorted((project / "models" / "scanners").rglob("*.yml"))
    }
    return {
        **models,
        **scanners,
        f"dbt_project/{SOURCES_PATH.as_posix()}": render_sources(tables),
        **suites,
        "docs/tables.md": render_dictionary(tables),
        "docs/indicators.md": page(),
    }


def stale_files(root: Path, files: Mapping[str, str]) -> list[str]:
    """Paths of those files that are missing in a checkout or hold something else."""
    paths = {name: root / name for name in files}
    return [name for name, path in paths.items() if not path.is_file() or path.read_text(encoding="utf-8") != files[name]]


def orphaned_files(root: Path, files: Mapping[str, str]) -> list[str]:
    """Paths of a checkout's yml files that say they were generated and are none of these files."""
    project = root / "dbt_project"
    written = (path for path in sorted(project.rglob("*.yml")) if path.read_text(encoding="utf-8").startswith(HEADER))
    return [name for path in written if (name := path.relative_to(root).as_posix()) not in files]


def write_files(root: Path, files: Mapping[str, str]) -> list[str]:
    """Write the stale ones of these files into a checkout; return their paths."""
    changed = stale_files(root, files)
    for name in changed:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name], encoding="utf-8")
    return changed


def main() -> None:
    """Write the files of this checkout, saying which have changed."""
    root, files = Path(__file__).parents[2], generated_files(shipped_tables())
    for name in write_files(root, files):
        sys.stdout.write(f"wrote {name}\n")
    for name in orphaned_files(root, files):
        sys.stdout.write(f"delete {name}: no schema makes it any more\n")


if __name__ == "__main__":
    main()
