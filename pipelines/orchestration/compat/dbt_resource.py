"""dagster-dbt without the work that it does besides running dbt.

Lives here: `InstalledDbt`.
Does not live here: which dbt commands a run gives (`orchestration/assets/models.py`), dbt itself (`pipelines/dbt/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version

from dagster_dbt import DbtCliResource
from packaging.version import Version


class InstalledDbt(DbtCliResource):
    """dbt as installed beside this Python, spared what dagster-dbt does in this process for each run.

    Asking the program for its version costs four seconds, and parsing every macro for an adapter two to four. The adapter would
    fetch row counts and columns after a model; the models' commits tell both. Neither can be chosen by a setting.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # type: ignore[override]
        return None
