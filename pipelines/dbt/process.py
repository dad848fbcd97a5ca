"""dbt as a child of a run: it ends when the run's process does, however that ended.

Lives here: the command `marketlake-dbt`, which is dbt with a watch on its parent.
Does not live here: which dbt commands a run gives (`orchestration/assets/models.py`), dbt within this process (`run.py`).

A dbt that outlives a killed run would go on writing beside the database that the next run has just started anew.
"""

from __future__ import annotations

import os
import sys
import threading
import time

#: Names the process whose end ends dbt; set by who starts it, since a parent may be gone before its child can ask.
PARENT = "MARKETLAKE_DBT_PARENT"
#: Names the build database, in profiles.yml.
BUILD_DB = "MARKETLAKE_BUILD_DB"
_SECONDS_BETWEEN_LOOKS = 0.2


def main() -> None:
    """Run dbt with this command line. Exits with dbt's code, or with 1 as soon as the parent is gone."""
    parent = int(os.environ.get(PARENT, os.getppid()))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _name_database_from_its_folder()
    from dbt.cli.main import cli

    sys.exit(cli())


def _name_database_from_its_folder() -> None:
    """Go where the build database lies and call it by its name: for another path dbt would parse the project anew."""
    folder, name = os.path.split(os.environ.get(BUILD_DB, ""))
    if folder:
        os.chdir(folder)
        os.environ[BUILD_DB] = name


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    # Not sys.exit: nothing of an abandoned build may be finished on the way out.
    os._exit(1)
