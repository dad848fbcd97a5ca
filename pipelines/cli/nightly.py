"""The command `marketlake nightly`.

Lives here: which sessions are asked for, running the job, printing what it published.
Does not live here: the job (`orchestration/nightly_run.py`).
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.console import USAGE, counted, fail, progress, say, say_json, table, warn
from pipelines.cli.ingest import say_suspects
from pipelines.cli.options import Exchange, Json, Wait, configured, day, read_settings, require_home
from pipelines.cli.plugin_warnings import warn_of_faulty_plugins

if TYPE_CHECKING:
    from pipelines.settings import Settings


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
    summary = _run(settings, mic, days, full=full, quiet=as_json)
    if as_json:
        say_json({**summary, "new": summary["new"].as_json()})
    else:
        from pipelines.ingest.suspected_actions import suspected_actions
        from pipelines.storage.location import Lake

        failed = summary.pop("checks_failed")
        say(summary.pop("new").describe())
        if hold := summary.pop("hold", None):
            warn(hold)
        table(["what", "value"], [[k, v] for k, v in summary.items()])
        for line in failed:
            print(f"check failed: {line}", file=sys.stderr)  # noqa: T201
        say_suspects(settings, mic, suspected_actions(Lake.from_settings(settings), mic))


def _warn_of_missing(settings: Settings, mic: str, days: list[date]) -> None:
    """Name how many sessions of a range have no bars and are therefore left out; without any, the run itself fails."""
    from pipelines.ingest.freshness import sessions_with_bars
    from pipelines.storage.location import Lake

    present = sessions_with_bars(Lake.from_settings(settings), mic, days)
    if present and (missing := len(days) - len(present)):
        warn(f"{mic} has no bars of {counted(missing, 'session')} from {days[0]} to {days[-1]}: they are left out")


def _run(settings: Settings, mic: str, days: list[date], *, full: bool, quiet: bool) -> dict[str, Any]:
    """Run the nightly job and tell what it published; where nothing changed since the last run, tell of that without another."""
    from pipelines.orchestration.night_record import NightRecord
    from pipelines.storage.locks import LockHeldError, home_lock

    warn_of_faulty_plugins(settings)
    record = NightRecord(settings, mic)
    if not (days or full):
        try:
            with home_lock(settings.state_dir, f"nightly run of {mic}", settings.lock_wait):
                known = record.unchanged(datetime.now(UTC))
        except LockHeldError as error:
            fail(str(error))
        if known:
            return known
    from pipelines.definitions import build_definitions
    from pipelines.orchestration.nightly_run import nightly as run_nightly
    from pipelines.orchestration.nightly_run import nightly_summary
    from pipelines.orchestration.runs import JobFailedError

    try:
        with progress(f"nightly run of {mic}", quiet=quiet):
            summary = nightly_summary(settings, mic, run_nightly(settings, mic, build_definitions, sessions=days, full=full))
            record.write(summary)
            return summary
    except (JobFailedError, LockHeldError) as error:
        fail(str(error))
