"""The command `marketlake dbt`: dbt on the models of this installation, in a database made from the latest release.

Lives here: its arguments and what it says.
Does not live here: making the database (`build/release_build.py`), running dbt (`dbt/run.py`), what a nightly run does with dbt
(`orchestration/assets/models.py`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.console import USAGE, fail, progress, say
from pipelines.cli.options import Exchange, configured, day, read_settings


def dbt(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="What dbt is to do, with options of its own: build -s staging", metavar="-- ARGUMENTS"),
    ] = None,
    exchange: Exchange = None,
    session: Annotated[str | None, typer.Option(help="Session that the models build; default: the newest.", metavar="DATE")] = None,
    full: Annotated[bool, typer.Option("--full", help="Have the models build every session.")] = False,
    prepare: Annotated[bool, typer.Option("--prepare", help="Make the database anew, without what dbt built in it.")] = False,
) -> None:
    """Run dbt by hand: with this installation's project, on a database made from the latest release. The lake stays as it is.

    What dbt built stays until there is a newer release, or another exchange or session is asked for. Ends with dbt's exit code.
    With --prepare alone the database is made for plain `dbt`, run in dbt_project/.

    Example: marketlake dbt -- build -s staging
    """
    from pipelines.build.release_build import NoReleaseError, prepare_release_database, release_database_path, release_target_dir
    from pipelines.ingest.freshness import NoBarsError
    from pipelines.market.calendar import CalendarError, calendar
    from pipelines.scanners.build_configuration import configure_build
    from pipelines.storage.location import Lake

    if not arguments and not prepare:
        fail("say what dbt is to do, for example `marketlake dbt -- build -s staging`, or give --prepare", USAGE)
    if session and full:
        fail("give either --session or --full, not both", USAGE)
    settings = read_settings()
    mic = configured(settings, exchange)
    lake = Lake(settings.lake_root)
    try:
        asked = calendar(mic).session(day(session, "--session")).session_date if session else None
        with progress(f"database of the latest release of {mic}", quiet=not prepare):
            database, is_new = prepare_release_database(
                lake,
                mic,
                settings.state_dir,
                configure_build(settings.exchanges),
                session=asked,
                full=full,
                anew=prepare,
            )
    except CalendarError as error:
        fail(str(error), USAGE)
    except (NoReleaseError, NoBarsError) as error:
        fail(str(error))
    path = release_database_path(settings.state_dir)
    if is_new:
        say(f"{path}: {database.describe()}")
    if arguments:
        from pipelines.dbt.run import run_dbt_command
        from pipelines.scanners.project import dbt_project_dir

        target = release_target_dir(settings.state_dir)
        raise typer.Exit(run_dbt_command(arguments, build_db=path, target_dir=target, project_dir=dbt_project_dir()))
