"""The commands `marketlake calendar show|add|check`: what an exchange's sessions are, and what this home states about them itself.

Lives here: their arguments and how they print.
Does not live here: what they tell (`calendar_report.py`), which sessions there are (`market/calendar.py`), the home's file
(`market/home_calendar.py`).
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import typer

from pipelines.cli.console import REFUSED, USAGE, counted, fail, say, say_error, say_json, table, warn
from pipelines.cli.options import Exchange, Json, Wait, configured, day, read_settings

calendar_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
#: Days that `show` looks ahead by itself.
_AHEAD = timedelta(days=60)
#: Days of a list that a line of text names.
_SHOWN = 5


@calendar_app.callback()
def about() -> None:
    """Sessions of an exchange: what is known and where it comes from, stating more, checking what this home states.

    Example: marketlake calendar show
    """


@calendar_app.command("show")
def show(
    exchange: Exchange = None,
    first: Annotated[str | None, typer.Option("--from", help="First day; default: today.", metavar="DATE")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day; default: 60 days after the first.", metavar="DATE")] = None,
    as_json: Json = False,
) -> None:
    """List sessions and closed weekdays with hours (local time), status and what states each, and where the known calendar ends.

    Example: marketlake calendar show --exchange XNSE --from 2026-12-01 --to 2027-01-31
    """
    from pipelines.cli.calendar_report import calendar_bounds, calendar_rows
    from pipelines.market.calendar import calendar

    settings = read_settings()
    mic = configured(settings, exchange)
    known = calendar(mic, settings.calendars)
    since = day(first, "--from") if first else datetime.now(known.exchange.zone).date()
    until = day(last, "--to") if last else since + _AHEAD
    if until < since:
        fail(f"--to {until} lies before --from {since}", USAGE)
    rows = calendar_rows(settings, known, since, until)
    if as_json:
        say_json({**calendar_bounds(settings, known), "days": rows})
        return
    _say_bounds(calendar_bounds(settings, known))
    say()
    columns = ["day", "weekday", "what", "hours", "status", "stated by"]
    table(columns, [[row[column.replace(" ", "_")] for column in columns] for row in rows])


@calendar_app.command("add")
def add(
    what: Annotated[str, typer.Argument(help="holiday, session, hours or known.", metavar="WHAT")],
    on: Annotated[str, typer.Argument(help="Its day; of hours the first, of known the last one.", metavar="DATE")],
    source: Annotated[str, typer.Option("--source", help="What it rests on: a circular and its date, for example.")] = "",
    windows: Annotated[
        list[str] | None,
        typer.Option("--windows", help="Hours of trading, local time; repeat for more.", metavar="HH:MM-HH:MM"),
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Of a session: regular, half_day or special (default).")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Last day of hours; default: for good.", metavar="DATE")] = None,
    exchange: Exchange = None,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """State a holiday, a session, changed hours, or up to which day all of these are listed, in calendars/<MIC>.toml of this home.

    What a home states wins over the calendars that marketlake brings. `nightly` computes anew what a changed past session touches.

    Example: marketlake calendar add holiday 2027-01-26 --exchange XNSE --source "NSE circular, trading holidays of 2027"
    """
    from pipelines.cli.calendar_report import contradictions_of
    from pipelines.market.calendar import calendar
    from pipelines.market.calendar_file import HomeCalendarError
    from pipelines.market.home_calendar import append_entry
    from pipelines.storage.locks import LockHeldError, home_lock

    settings = read_settings(wait)
    mic = configured(settings, exchange)
    stated = day(on, "DATE")
    block = _block(what, stated, source, windows or [], kind, day(until, "--until") if until else None)
    try:
        known = calendar(mic, settings.calendars)
        if what == "known" and stated < known.exchange.calendar_start:
            fail(f"{stated} lies before the calendar of {mic}, which begins on {known.exchange.calendar_start}", USAGE)
        if what != "known" and not known.exchange.calendar_start <= stated <= known.last_day:
            fail(f"{stated} lies outside the calendar of {mic}, {known.exchange.calendar_start} to {known.last_day}", USAGE)
        with home_lock(settings.state_dir, "calendar add", settings.lock_wait):
            written = append_entry(mic, block, settings.calendars)
    except HomeCalendarError as error:
        for problem in error.problems:
            say_error(problem)
        raise typer.Exit(USAGE) from None
    except LockHeldError as error:
        fail(str(error))
    entry = written.entries[-1]
    if what == "known" and stated < known.known_until:
        warn(f"{mic} was known until {known.known_until}; sessions after {stated} are provisional from now on")
    if as_json:
        say_json({"exchange": mic, "file": written.path, "line": entry.line, "what": what, "date": stated, "source": entry.source})
    else:
        say(f"{written.path}:{entry.line}: {what} {stated}")
    for found in contradictions_of(settings, mic):
        warn(f"{found.describe()}: {found.advice()}")


@calendar_app.command("check")
def check(exchange: Exchange = None, as_json: Json = False) -> None:
    """Check this home's calendar files, and say how many days the known calendars still reach and what is provisional.

    Ends with 1 where a file has a mistake, or bars contradict the calendar. Without --exchange all configured ones are checked.

    Example: marketlake calendar check
    """
    from pipelines.cli.calendar_report import calendar_report, stray_files
    from pipelines.market.calendar_file import HomeCalendarError

    settings = read_settings()
    mics = [configured(settings, exchange)] if exchange else list(settings.exchanges)
    reports, failed = [], False
    for mic in mics:
        try:
            report = calendar_report(settings, mic)
        except HomeCalendarError as error:
            report = {"exchange": mic, "mistakes": error.problems, "contradictions": []}
        failed = failed or bool(report["mistakes"] or report["contradictions"])
        reports.append(report)
    for stray in [] if exchange else stray_files(settings):
        warn(f"{stray} is no calendar of a configured exchange; a file is called {settings.exchanges[0]}.toml, for example")
    if as_json:
        say_json(reports)
    else:
        for report in reports:
            _say_report(report)
    raise typer.Exit(REFUSED if failed else 0)


def _block(what: str, on: date, source: str, windows: list[str], kind: str | None, until: date | None) -> str:
    """The entry as TOML; a wrong argument ends the command."""
    from pipelines.market.calendar_file import KINDS, parse_windows, source_fault

    if what not in {"holiday", "session", "hours", "known"}:
        fail(f"{what!r} is none of holiday, session, hours, known", USAGE)
    if fault := source_fault(source):
        fail(f"--source: {fault}", USAGE)
    if windows and what in {"holiday", "known"}:
        fail(f"--windows: a {what} entry has no hours", USAGE)
    if until and what != "hours":
        fail(f"--until: only hours have a last day; {what} is about {on} alone", USAGE)
    if what == "hours" and not windows:
        fail("--windows: say the new hours, for example --windows 09:15-15:30", USAGE)
    if kind is not None and what != "session":
        fail(f"--kind: only a session has a kind; this is a {what} entry", USAGE)
    kind = "special" if kind is None else kind
    if kind not in KINDS:
        fail(f"--kind: {kind!r} is none of {', '.join(KINDS)}", USAGE)
    if kind == "half_day" and not windows:
        fail("--windows: say the hours of the half day, for example --windows 09:15-12:30", USAGE)
    try:
        hours = parse_windows(windows) if windows else ()
    except ValueError as error:
        fail(f"--windows: {error}", USAGE)
    lines = [f"[[{what}]]", f"{ {'hours': 'from', 'known': 'until'}.get(what, 'date') } = {on}"]
    lines += [f"until = {until}"] if until else []
    lines += [f'kind = "{kind}"'] if what == "session" else []
    lines += [f"windows = {json.dumps([f'{start:%H:%M}-{end:%H:%M}' for start, end in hours])}"] if hours else []
    # A JSON string without control characters is a TOML string as well.
    return "\n".join([*lines, f"source = {json.dumps(source.strip(), ensure_ascii=False)}"])


def _say_bounds(bounds: dict[str, Any]) -> None:
    span = f"known from {bounds['known_from']} to {bounds['known_until']}"
    say(f"{bounds['exchange']} ({bounds['time_zone']}): {span} ({bounds['known_until_by']})")
    say(f"later weekdays, to {bounds['provisional_until']}, are provisional sessions")
    say(f"this home's own file: {bounds['file'] or 'none; `marketlake calendar add` begins one'}")


def _say_report(report: dict[str, Any]) -> None:
    mic = report["exchange"]
    if "known_until" in report:
        left = report["days_left"]
        reach = f"{counted(left, 'day')} from today" if left >= 0 else f"{counted(-left, 'day')} ago"
        own = f"{report['entries']} entries in this home's file"
        say(f"{mic}: known until {report['known_until']}, {reach} ({report['known_until_by']}); {own}")
        for name, days in report["provisional"].items():
            if days:
                more = f" and {len(days) - _SHOWN} more" if len(days) > _SHOWN else ""
                say(f"{mic}: provisional, {name.replace('_', ' ')}: {', '.join(days[-_SHOWN:])}{more}")
    for problem in [*report["mistakes"], *report["contradictions"]]:
        say_error(problem)
