"""dbt as a child of a run: it ends when the run's process does, however that ended.

Lives here: the command `marketlake-dbt`, which is dbt with a watch on its parent, and its options.
Does not live here: which dbt commands a run gives (`orchestration/assets/models.py`), dbt within this process (`run.py`).

A dbt that outlives a killed run would go on writing beside the database that the next run has just started anew.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from argparse import ArgumentParser
from pathlib import Path

#: Names the build database, in profiles.yml.
BUILD_DB = "MARKETLAKE_BUILD_DB"
#: Names the home's file of chosen indicators, for the models that compute them.
INDICATORS = "MARKETLAKE_INDICATORS"
_SECONDS_BETWEEN_LOOKS = 0.2
#: New objects after which the garbage collector looks for cycles. Python's 700 has it walk dbt's manifest, of which nothing is ever
#: garbage, again and again.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def options(build_database: Path, home: Path, indicators: Path | None) -> list[str]:
    """What a run in this process hands to `marketlake-dbt`, before the words for dbt.

    Options and not variables of the environment: those would be this process's too, and of its other homes. The parent is named,
    since it may be gone before its child can ask. A run learns from dbt's events, so that dbt need not write its manifest, graph
    and results after each of them; what it takes up again, the parsed project, it writes all the same.
    """
    chosen = [f"--indicators={indicators}"] if indicators else []
    return [f"--build-database={build_database}", f"--parent={os.getpid()}", f"--home={home}", *chosen, "--no-write-json"]


def main() -> None:
    """Run dbt with this command line, without our own options. Exits with dbt's code, or with 1 as soon as the parent is gone."""
    parser = ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--build-database", type=Path)
    parser.add_argument("--parent", type=int, default=os.getppid())
    parser.add_argument("--home")
    parser.add_argument("--indicators")
    ours, sys.argv[1:] = parser.parse_known_args()
    threading.Thread(target=_end_with, args=(ours.parent,), daemon=True).start()
    if ours.home:
        # The home whose run this is, with the indicators that it chose, whatever the environment says.
        os.environ["MARKETLAKE_HOME"], os.environ[INDICATORS] = ours.home, ours.indicators or ""
    if ours.build_database:
        # By its name, from its folder: for another path dbt would parse the project anew.
        os.chdir(ours.build_database.parent)
        os.environ[BUILD_DB] = ours.build_database.name
    gc.disable()
    from dbt.cli.main import cli

    # Modules stay as long as the process: the collector need not look at what they made.
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    gc.enable()
    sys.exit(cli())


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    # Not sys.exit: nothing of an abandoned build may be finished on the way out.
    os._exit(1)
