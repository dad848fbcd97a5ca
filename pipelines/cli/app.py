"""The `marketlake` command: parses, calls, prints.

Lives here: one function per subcommand. Heavy packages are imported inside, so that `--help` and `sql` start fast.
Does not live here: anything a command does (the packages), how it prints (`console.py`), the commands of modules of their own
(`ingest.py`, `quarantine.py`, `calendar.py`, `instruments.py`, `scan.py`,
`explain.py`, `withdraw.py`, `dbt.py`, `docs.py`).
"""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.calendar import calendar_app
from pipelines.cli.console import INTERRUPTED, USAGE, counted, fail, progress, say, say_error, say_json, table, warn
from pipelines.cli.dbt import dbt
from pipelines.cli.describe import describe
from pipelines.cli.docs import docs
from pipelines.cli.explain import explain
from pipelines.cli.ingest import ingest, say_suspects
from pipelines.cli.instruments import instruments
from pipelines.cli.interrupts import keep_interrupts_out_of_logs, redeliver_dropped_interrupts
from pipelines.cli.options import (
    Exchange,
    Json,
    Wait,
    check_settings_file,
    configured,
    day,
    moment,
    read_settings,
    require_home,
    setting_problems,
)
from pipelines.cli.quarantine import quarantine
from pipelines.cli.scan import scan, scanners
from pipelines.cli.withdraw import withdraw

if TYPE_CHECKING:
    from pipelines.settings import Settings

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

indicators = typer.Typer(rich_markup_mode=None)
app.add_typer(indicators, name="indicators")


@indicators.callback(invoke_without_command=True)
def list_indicators(context: typer.Context, as_json: Json = False) -> None:
    """List the indicators of this installation: built-in, plugged in, chosen in the file MARKETLAKE_INDICATORS names.

    With columns, parameters, warm-up and range; `describe NAME` tells about one.

    Example: marketlake indicators --json
    """
    if context.invoked_subcommand is not None:
        return
    from pipelines.cli.indicator_pages import COLUMNS, indicator_rows
    from pipelines.indicators.registry import home_registry

    settings = read_settings()
    rows = indicator_rows(home_registry(settings.indicators))
    _warn_of_faulty_plugins(settings)
    if as_json:
        say_json(rows)
        return
    shown = [
        [
            row["name"],
            " ".join(row["columns"]),
            " ".join(f"{name}={value:g}" for name, value in row["parameters"].items()),
            row["warm_up"],
            row["range"],
        ]
        for row in rows
    ]
    table(COLUMNS, shown)


@indicators.command("describe")
def describe_indicator(
    name: Annotated[str, typer.Argument(help="Indicator or column, for example rsi or bb_upper_20.")], as_json: Json = False
) -> None:
    """Tell formula, source, convention, inputs, units and carried state of one indicator.

    Example: marketlake indicators describe rsi
    """
    from pipelines.cli.indicator_pages import UnknownIndicatorError, describe
    from pipelines.indicators.registry import home_registry

    try:
        content = describe(name, home_registry(read_settings().indicators))
    except UnknownIndicatorError as error:
        fail(str(error), USAGE)
    if as_json:
        say_json(content)
        return
    columns = content.pop("columns", {})
    for what, text in content.items():
        say(f"{what + ':':<12} {text}")
    for column, text in columns.items():
        say(f"  {column}: {text}")


@app.command()
def nightly(
    exchange: Exchange = None,
    session: Annotated[str | None, typer.Option(help="Rebuild this session besides what is new.", metavar="DATE")] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First session to rebuild besides what is new.", metavar="DATE")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last session to rebuild besides what is new.", metavar="DATE")] = None,
    full: Annotated[bool, typer.Option("--full", help="Rebuild everything from the lake.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Make the folder a home without asking, where it is none yet.")] = False,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Run the nightly job in this process: build what is new or restated, backtest, report, publish a release.

    Without bars, or without those of a session asked for, it ends with 1 and changes nothing.

    Example: marketlake nightly --exchange XNYS
    """
    from pipelines.market.calendar import CalendarError, calendar

    settings = read_settings(wait)
    mic = configured(settings, exchange)
    if session and (first or last):
        fail("give either --session or --from and --to, not both", USAGE)
    if bool(first) != bool(last):
        fail("--from and --to go together", USAGE)
    try:
        days = [calendar(mic, settings.calendars).session(day(session, "--session")).session_date] if session else []
        if first and last:
            days = [s.session_date for s in calendar(mic, settings.calendars).between(day(first, "--from"), day(last, "--to"))]
            if not days:
                fail(f"no session of {mic} lies between {first} and {last}", USAGE)
    except CalendarError as error:
        fail(str(error), USAGE)
    require_home(settings, make=yes)
    if first and last:
        _warn_of_missing(settings, mic, days)
    summary = _nightly(settings, mic, days, full=full, quiet=as_json)
    if as_json:
        say_json({**summary, "new": summary["new"].as_json()})
    else:
        from pipelines.ingest.suspected_actions import suspected_actions
        from pipelines.storage.location import Lake

        failed = summary.pop("checks_failed")
        say(summary.pop("new").describe())
        table(["what", "value"], [[k, v] for k, v in summary.items()])
        for line in failed:
            print(f"check failed: {line}", file=sys.stderr)  # noqa: T201
        say_suspects(settings, mic, suspected_actions(Lake.from_settings(settings), mic))


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
def releases(as_json: Json = False) -> None:
    """List releases, newest first: the table versions that `sql` reads together.

    Example: marketlake releases
    """
    from pipelines.storage.location import Lake
    from pipelines.storage.releases import releases as all_releases

    found = list(reversed(all_releases(Lake.from_settings(read_settings()))))
    if as_json:
        say_json([vars(r) for r in found])
        return
    if not found:
        say("no release yet; run `marketlake nightly` or `marketlake demo`")
        return
    rows = [
        [
            r.release_id,
            f"{r.created_at:%Y-%m-%d %H:%M:%S} UTC",
            r.code_version,
            ", ".join(f"{m} {s[0]} to {s[1]}" for m, s in r.sessions.items() if s),
        ]
        for r in found
    ]
    table(["release_id", "created_at", "code_version", "sessions built"], rows)


@app.command()
def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="First put right what needs no decision: bars without instruments.")
    ] = False,
    exchange: Annotated[
        str | None, typer.Option("--exchange", help="Look at this exchange alone; default: every configured one.", metavar="MIC")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check installation, files, lake, catalogue, runs, freshness, clock and calendar; say what is wrong and the way out.

    Ends with 1 for what needs action now (!!), with 0 where there are warnings alone.

    Example: marketlake doctor
    """
    from pipelines.doctor import examine
    from pipelines.doctor import repair as run_repair
    from pipelines.storage.locks import LockHeldError

    settings = read_settings()
    mics = None if exchange is None else (configured(settings, exchange),)
    if repair:
        try:
            done = run_repair(settings, mics=mics)
        except LockHeldError as error:
            fail(str(error))
        if not as_json:
            for line in done or ["nothing to repair"]:
                say(line)
    findings = examine(settings, mics=mics)
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
    from pipelines.user_files import UserFileError

    try:
        check_settings_file()
        app()
    except (IndicatorFileError, RuleFileError, UniverseError, UserFileError) as error:
        say_error(str(error))
        sys.exit(USAGE)
    except HistoryUnavailableError as error:
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


def _warn_of_missing(settings: Settings, mic: str, days: list[date]) -> None:
    """Name how many sessions of a range have no bars and are therefore left out; without any, the run itself fails."""
    from pipelines.ingest.freshness import sessions_with_bars
    from pipelines.storage.location import Lake

    present = sessions_with_bars(Lake.from_settings(settings), mic, days)
    if present and (missing := len(days) - len(present)):
        warn(f"{mic} has no bars of {counted(missing, 'session')} from {days[0]} to {days[-1]}: they are left out")


def _warn_of_faulty_plugins(settings: Settings) -> None:
    """Name the packages whose sources, indicators or scanners are left out of what follows."""
    from pipelines.indicators.registry import home_registry
    from pipelines.scanners.extensions.plugins import load_plugins
    from pipelines.sources.registry import load_sources

    indicators = home_registry(settings.indicators)
    for reason in [*map(str, load_sources().broken.values()), *indicators.broken.values(), *load_plugins()[1].values()]:
        warn(reason)


def _nightly(settings: Settings, mic: str, days: list[date], *, full: bool, quiet: bool) -> dict[str, Any]:
    """Run the nightly job and tell what it published."""
    _warn_of_faulty_plugins(settings)
    from pipelines.definitions import build_definitions
    from pipelines.orchestration.launch import JobFailedError, nightly_summary
    from pipelines.orchestration.launch import nightly as run_nightly
    from pipelines.storage.locks import LockHeldError

    try:
        with progress(f"nightly run of {mic}", quiet=quiet):
            return nightly_summary(settings, mic, run_nightly(settings, mic, build_definitions, sessions=days, full=full))
    except (JobFailedError, LockHeldError) as error:
        fail(str(error))
