"""Compile ahead what the first job would wait for: `python -m pipelines.cli.warm`, run once after an installation, on two cores.

Lives here: calling every compiler once: Python's for the modules of jobs, numba for the backtest's step, the track record and the
indicators, dbt for the models; and making the databases of the home's Dagster instance.
Does not live here: the kernels, the models, or where their compiled forms are kept.
"""

from __future__ import annotations

import compileall
import importlib
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pipelines.package_data import PACKAGE
from pipelines.settings import Settings

#: What commands import beside this package's modules at the top: at a step's first need, or in a program that they start.
LATE_IMPORTS = (
    "pipelines.definitions",
    "dagster_webserver.cli",
    "dbt.cli.main",
    "dbt.adapters.duckdb",
    "great_expectations",
    "exchange_calendars",
    "scipy.stats",
    "empyrical",
)


def warm_modules() -> None:
    """Import what commands and jobs import, at a step's first need too: Python then keeps the bytecode, which uv does not install.

    Compiling takes half of a short command, where the environment forbids Python to keep what it compiled
    (PYTHONDONTWRITEBYTECODE, as in many images of containers); `make` lifts that for this program.
    """
    compileall.compile_dir(PACKAGE, quiet=2)
    for name in LATE_IMPORTS:
        importlib.import_module(name)


def warm_backtest() -> None:
    """Compile the step kernel by trading one signal over three bars."""
    import polars as pl

    from pipelines.backtest.portfolio import Strategy, run_backtest

    opens = [datetime(2024, 10, day, 3, 45, tzinfo=UTC) for day in (7, 8, 9)]
    bars = pl.DataFrame(
        {
            "instrument_id": ["XNSE:WARM"] * 3,
            "session_date": [moment.date() for moment in opens],
            "ts_open": opens,
            "ts_close": [moment + timedelta(hours=6, minutes=15) for moment in opens],
            **{column: [100.0, 101.0, 102.0] for column in ("open", "high", "low", "close")},
        }
    )
    signals = pl.DataFrame(
        {
            "signal_id": ["warm"],
            "instrument_id": ["XNSE:WARM"],
            "session_date": [date(2024, 10, 7)],
            "known_at": [datetime(2024, 10, 7, 13, 0, tzinfo=UTC)],
            "signal_type": ["BUY"],
            "target_price": [None],
            "stop_loss": [None],
        },
        schema_overrides={"target_price": pl.Float64, "stop_loss": pl.Float64},
    )
    run_backtest(bars, signals, Strategy("warm", "warm", input_fingerprint="", code_version="", parameters={}))


def warm_track_record() -> None:
    """Compile the loops of the track record on one bar, and its bootstrap on two sessions."""
    import numpy as np

    from pipelines.backtest.signal_performance.intervals import sums_drawn
    from pipelines.backtest.signal_performance.kernel import first_touch, not_overlapping

    whole, real = np.zeros(1, np.int64), np.ones(1)
    first_touch(whole, whole, whole, whole, whole, whole + 1, real, real, real, real, real, whole, real, np.zeros(1, np.uint8))
    not_overlapping(whole, whole, whole)
    sums_drawn(np.ones((2, 1)), 1, "warm", 2)


def warm_indicators(settings: Settings) -> None:
    """Compile every indicator kernel for both output types."""
    from pipelines.indicators.registry import home_registry
    from pipelines.indicators.warm import warm

    warm(home_registry(settings.indicators))


def warm_models(settings: Settings) -> Path:
    """Compile the dbt project for this home, unless its manifest is newer than the project; return the manifest.

    Each exchange's build has a database, and so a parsed project, of its own; the build names it without its folder.
    """
    from pipelines.build.database import build_path
    from pipelines.dbt.run import run_dbt
    from pipelines.orchestration.assets.model_specs import column_lineage
    from pipelines.orchestration.assets.models import build_target
    from pipelines.scanners.project import HomeProject

    project = HomeProject.from_settings(settings)
    for mic in settings.exchanges:
        database = Path(build_path(settings.state_dir, mic).name)
        run_dbt(
            ["parse"],
            build_db=database,
            target_dir=build_target(settings.state_dir, mic),
            project_dir=project.directory(),
            indicators=project.indicators,
        )
    manifest = project.manifest()
    # Else the first night would read every model's SQL for its pages.
    column_lineage(project)
    return manifest


def prepare_instance(settings: Settings) -> None:
    """Make the databases of this home's Dagster instance."""
    from pipelines.orchestration.instance import open_instance

    with open_instance(settings):
        pass


def steps(settings: Settings) -> dict[str, tuple[tuple[str, Callable[[], object]], ...]]:
    """What each of two processes compiles, by the part's name: either half takes one core for half a minute."""
    return {
        "modules": (
            ("modules", warm_modules),
            ("dbt models", lambda: warm_models(settings)),
            ("Dagster instance", lambda: prepare_instance(settings)),
        ),
        "kernels": (
            ("backtest kernel", warm_backtest),
            ("track record", warm_track_record),
            ("indicator kernels", lambda: warm_indicators(settings)),
        ),
    }


def main() -> int:
    """Compile everything, saying what is going on: half a minute at first, seconds when nothing changed; exit code.

    With the name of a part as argument only that part, in this process.
    """
    parts = steps(Settings())
    parser = ArgumentParser(prog="python -m pipelines.cli.warm", description="Compile ahead what the first job would wait for.")
    parser.add_argument("part", nargs="?", choices=list(parts), help="one half of the work, in this process (default: both)")
    if part := parser.parse_args().part:
        for name, step in parts[part]:
            sys.stdout.write(f"preparing {name} …\n")
            sys.stdout.flush()
            step()
        return 0
    running = [subprocess.Popen([sys.executable, "-m", "pipelines.cli.warm", half]) for half in parts]  # noqa: S603
    codes = [process.wait() for process in running]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
