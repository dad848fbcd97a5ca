"""The `marketlake` command: parses, calls, prints.

Lives here: one function per subcommand. Heavy packages are imported inside, so that `--help` and `sql` start fast.
Does not live here: anything a command does (the packages), how it prints (`console.py`), the commands of modules of their own
(`ingest.py`, `nightly.py`, `quarantine.py`, `calendar.py`, `instruments.py`, `indicators.py`, `scan.py`, `explain.py`,
`withdraw.py`, `maintain.py`, `backup.py`, `repair.py`, `rollback.py`, `releases.py`, `alerts.py`, `dbt.py`, `docs.py`,
`backtest.py`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.alerts import alerts
from pipelines.cli.backtest import backtest
from pipelines.cli.backup import backup, restore
from pipelines.cli.calendar import calendar_app
from pipelines.cli.console import INTERRUPTED, USAGE, fail, say, say_error, say_json, table, warn
from pipelines.cli.dbt import dbt
from pipelines.cli.describe import describe
from pipelines.cli.docs import docs
from pipelines.cli.explain import explain
from pipelines.cli.indicators import indicators
from pipelines.cli.ingest import ingest
from pipelines.cli.instruments import instruments
from pipelines.cli.interrupts import keep_interrupts_out_of_logs, redeliver_dropped_interrupts
from pipelines.cli.maintain import maintain
from pipelines.cli.nightly import nightly
from pipelines.cli.options import (
    Json,
    check_settings_file,
    configured,
    moment,
    read_settings,
    setting_problems,
)
from pipelines.cli.quarantine import quarantine
from pipelines.cli.releases import releases
from pipelines.cli.repair import repair
from pipelines.cli.rollback import rollback
from pipelines.cli.scan import scan, scanners
from pipelines.cli.withdraw import withdraw

if TYPE_CHECKING:
    pass

app = typer.Typer(
    name="marketlake",
    help="Market-data pipelines over a versioned lake: ingest, gate, indicators, scanners, backtests, releases.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        from pipelines import __version__

        say(f"marketlake {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Market-data pipelines over a versioned lake: ingest, gate, indicators, scanners, backtests, releases."""


@app.command()
def demo(as_json: Json = False) -> None:
    """Run the main job on the bundled real bars: ingest, gate, indicators, scanners, backtest, risk report, release.

    Example: marketlake demo
    """
    from pipelines.cli.demo import run_demo

    run_demo(read_settings(), as_json=as_json)


@app.command()
def sources(as_json: Json = False) -> None:
    """List the known sources, plug-ins included; one that cannot be used is named with its reason.

    Example: marketlake sources --json
    """
    from pipelines.sources.registry import load_sources

    known = load_sources()
    rows = [[s.name, s.priority, s.whole_market, s.description] for s in known.values()]
    columns = ["name", "priority", "whole_market", "description"]
    if as_json:
        say_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        table(columns, rows)
    for error in known.broken.values():
        warn(str(error))


app.command("ingest")(ingest)
app.add_typer(quarantine, name="quarantine")
app.add_typer(calendar_app, name="calendar")
app.command("describe")(describe)
app.command("explain")(explain)
app.command("withdraw")(withdraw)
app.add_typer(instruments, name="instruments")
app.add_typer(scanners, name="scanners")
app.command("scan")(scan)
# From its first argument on the line is dbt's, options too: the two dashes may be left out.
app.command("dbt", context_settings={"allow_interspersed_args": False})(dbt)
app.command("docs")(docs)
app.add_typer(indicators, name="indicators")
app.command("nightly")(nightly)
app.command("maintain")(maintain)
app.command("backup")(backup)
app.command("restore")(restore)
app.command("repair")(repair)
app.command("rollback")(rollback)
app.add_typer(releases, name="releases")
app.add_typer(alerts, name="alerts")
app.add_typer(backtest, name="backtest")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One statement, read-only.")],
    release: Annotated[str | None, typer.Option(help="Query this release instead of the published one.", metavar="ID")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="See every table as known then, or a refusal.", metavar="MOMENT")
    ] = None,
    output: Annotated[str, typer.Option("--format", help="table, csv, json or parquet (to standard output).")] = "table",
    vertical: Annotated[bool, typer.Option("--vertical", help="Print each row as names and values, one a line.")] = False,
) -> None:
    """Query the published catalogue. "show tables" lists what is there; `marketlake describe TABLE` explains its columns.

    Example: marketlake sql "select symbol, session_date, rsi_14 from indicators_daily order by session_date desc limit 5"
    """
    from pipelines.cli.sql import FORMATS, QueryError, run_query

    if output not in FORMATS:
        fail(f"unknown format {output!r}; choose one of {', '.join(FORMATS)}", USAGE)
    if vertical and output != "table":
        fail(f"--vertical is a way to show a table, --format {output} writes for machines: give one of them", USAGE)
    known = moment(as_of, "--as-of") if as_of else None
    try:
        run_query(read_settings(), query, release, output, sys.stdout, known, vertical=vertical)
    except QueryError as error:
        fail(str(error))


@app.command()
def doctor(
    add_instruments: Annotated[
        bool, typer.Option("--repair", help="First put right what needs no decision: bars without instruments.")
    ] = False,
    exchange: Annotated[
        str | None, typer.Option("--exchange", help="Look at this exchange alone; default: every configured one.", metavar="MIC")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every file of the lake and compare it with what was written.")] = False,
    as_json: Json = False,
) -> None:
    """Check installation, files, lake, catalogue, runs, freshness, clock and calendar; say what is wrong and the way out.

    Ends with 1 for what needs action now (!!), with 0 where there are warnings alone. Missing and cut files are always seen,
    changed content with --deep, which reads the whole lake.

    Example: marketlake doctor
    """
    from pipelines.doctor import examine
    from pipelines.doctor import repair as run_repair
    from pipelines.storage.locks import LockHeldError

    settings = read_settings()
    mics = None if exchange is None else (configured(settings, exchange),)
    if add_instruments:
        try:
            done = run_repair(settings, mics=mics)
        except LockHeldError as error:
            fail(str(error))
        if not as_json:
            for line in done or ["nothing to repair"]:
                say(line)
    findings = examine(settings, mics=mics, deep=deep)
    if as_json:
        say_json([f.as_json() for f in findings])
    else:
        marks = {"ok": "ok", "warning": "?", "error": "!!"}
        table(["", "check", "finding", "what to do"], [[marks[f.severity], f.check, f.finding, f.advice] for f in findings])
    raise typer.Exit(0 if all(f.ok for f in findings) else 1)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of the web page.", min=1, max=65535)] = 3000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; anything but the loopback shows the lake to the network.")
    ] = "127.0.0.1",
) -> None:
    """Open Dagster's UI and run its daemon on this home (until interrupted).

    Example: marketlake ui --port 3000
    """
    from pipelines.cli.dagster_process import run_ui

    run_ui(read_settings(), host, port)


def main() -> None:
    """Entry point. Ends with 0 on success, 1 on a refused or failed job, 2 on wrong usage, 130 on Ctrl-C; no bare traceback."""
    redeliver_dropped_interrupts()
    keep_interrupts_out_of_logs()
    from pydantic import ValidationError

    from pipelines.indicators.custom.file import IndicatorFileError
    from pipelines.orchestration.home_config import HistoryUnavailableError
    from pipelines.scanners.registry import UniverseError
    from pipelines.scanners.rules.file import RuleFileError
    from pipelines.storage.errors import DamagedTableError
    from pipelines.user_files import UserFileError

    try:
        check_settings_file()
        app()
    except (IndicatorFileError, RuleFileError, UniverseError, UserFileError) as error:
        say_error(str(error))
        sys.exit(USAGE)
    except (DamagedTableError, HistoryUnavailableError) as error:
        say_error(str(error))
        sys.exit(1)
    except ValidationError as error:
        say_error(f"settings: {setting_problems(error)}")
        sys.exit(USAGE)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        say_error("interrupted")
        sys.exit(INTERRUPTED)
    except Exception as error:
        from pipelines.cli.environment_faults import describe_fault

        if (fault := describe_fault(error)) is None:
            raise
        say_error(fault)
        sys.exit(1)
