"""A plugin of dbt-duckdb: the folder of target `dev`'s database is there before DuckDB opens it.

Lives here: the plugin that `dbt_project/profiles.yml` names, so that plain `dbt compile` needs no home.
Does not live here: filling the database (`build/release_build.py`), saying that nobody has (`dbt_project/macros/source.sql`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin


class Plugin(BasePlugin):
    """Makes the folder; the name is dbt-duckdb's."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Called before the database is opened, by commands that open it: `dbt parse` and `dbt ls` do not."""
        assert self.creds is not None
        Path(self.creds.path).parent.mkdir(parents=True, exist_ok=True)
