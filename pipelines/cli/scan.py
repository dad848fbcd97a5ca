"""The commands about scanners: `marketlake scanners` and `marketlake scan`.

Lives here: their arguments and how lists of scanners print.
Does not live here: how a scan prints (`scan_printing.py`), what scanners there are (`scanner_pages.py`), scanning as of a moment
(`live/as_of.py`), the shortlist (`live/shortlist.py`), what a scan does from end to end (`scan_run.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.console import USAGE, fail, progress, say, say_json, table, warn
from pipelines.cli.options import Exchange, Json, configured, read_settings

if TYPE_CHECKING:
    from pipelines.market.exchanges import Exchange as Venue

_CLOCK = "write it as 2024-01-31 09:50, 09:50 (today) or 2024-01-31 (that day's close), by the exchange's clock"
#: Length of a shortlist.
_SHORTLIST = 50

scanners = typer.Typer(rich_markup_mode=None)


@scanners.callback(invoke_without_command=True)
def list_scanners(context: typer.Context, as_json: Json = False) -> None:
    """List the scanners of this installation: built-in, of the file MARKETLAKE_SCANNERS names, of installed packages.

    With what they evaluate, when, and their parameters; `describe NAME` tells about one. A package that cannot be used is named
    with its reason.

    Example: marketlake scanners --json
    """
    if context.invoked_subcommand is not None:
        return
    from pipelines.cli.scanner_pages import COLUMNS, bounds, scanner_rows
    from pipelines.scanners.project import HomeProject

    project = HomeProject.from_settings(read_settings())
    with progress("looking for scanners", quiet=True):
        rows = scanner_rows(project)
    if as_json:
        say_json(rows)
    else:
        shown = [
            [
                *(row[name] for name in ("name", "family")),
                str(row["version"]),
                row["evaluates"],
                " ".join(row["moments"]),
                "\n".join(f"{name} {bounds(about)}" for name, about in row["parameters"].items()),
                row["origin"],
            ]
            for row in rows
        ]
        table(COLUMNS, shown)
    _warn(project.additions().broken)


@scanners.command("describe")
def describe_scanner(
    name: Annotated[str, typer.Argument(help="Scanner, for example breakout_20d.")], as_json: Json = False
) -> None:
    """Tell rule, moments, universe and parameters of one scanner.

    Example: marketlake scanners describe breakout_20d
    """
    from pipelines.cli.scanner_pages import bounds, describe
    from pipelines.scanners.project import HomeProject
    from pipelines.scanners.registry import UnknownScannerError

    try:
        content = describe(name, HomeProject.from_settings(read_settings()))
    except UnknownScannerError as error:
        fail(str(error), USAGE)
    if as_json:
        say_json(content)
        return
    parameters = content.pop("parameters")
    for what, text in content.items():
        shown = ", ".join(text) or "none" if isinstance(text, list) else str(text).strip()
        say(f"{what + ':':<18} {shown}")
    for parameter, about in parameters.items():
        say(f"  {parameter}: {bounds(about)}: {about['meaning']}")


def scan(
    at: Annotated[str | None, typer.Option("--at", help=f"Moment to look from: {_CLOCK}. Default: now.", metavar="MOMENT")] = None,
    exchange: Exchange = None,
    scanner: Annotated[list[str] | None, typer.Option("--scanner", help="Only this one; may be repeated.", metavar="NAME")] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", help="Another value of a parameter.", metavar="SCANNER.NAME=VALUE")
    ] = None,
    universe: Annotated[
        str | None,
        typer.Option("--universe", help="Look at these instruments: all, liquid, or a universe of yours.", metavar="NAME"),
    ] = None,
    watchlist: Annotated[
        Path | None, typer.Option("--watchlist", help="Look at the symbols of this file: one a line, or a CSV.", metavar="FILE")
    ] = None,
    shortlist: Annotated[
        bool,
        typer.Option("--shortlist", help="Rank what the close before the session says; in a session, scan that and everything."),
    ] = False,
    top: Annotated[
        int | None,
        typer.Option("--top", help="Only so many signals, the best first; with --shortlist its length (50).", min=1, max=10_000),
    ] = None,
    save: Annotated[Path | None, typer.Option("--save", help="Write the shortlist to this CSV too.", metavar="FILE")] = None,
    record: Annotated[bool, typer.Option("--record", help="Keep signals and coverage in the lake.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Work indicators out from the bars instead of reading them.")] = False,
    as_json: Json = False,
) -> None:
    """Scan as of a moment, now or in history: the signals there are, and how much of its universe each scanner saw.

    Reads the published release; for a session that is not released yet, the live minutes. Nothing is written unless --record says
    so. Signals of a declared moment bear the ids of the nightly ones. Of an opening range within the session: what has broken out
    since the open and still holds. Best score first; what was not judged, and why, stands below.

    Example: marketlake scan --at "2021-03-04 16:00" --exchange XNYS --scanner breakout_20d
    """
    _refuse_combinations(param, universe, watchlist, save, shortlist=shortlist, record=record)
    settings = read_settings()
    mic = configured(settings, exchange)
    from pipelines.cli.scan_printing import print_scan
    from pipelines.cli.scan_run import Asked, run_scan
    from pipelines.live.scan_store import LiveScanError
    from pipelines.market.calendar import CalendarError
    from pipelines.market.exchanges import exchange as venue_of
    from pipelines.scanners.engine.runner import NoSessionError
    from pipelines.scanners.registry import ManifestError, UnknownScannerError
    from pipelines.scanners.universes import UniverseError, read_universes

    moment = _moment(at, venue_of(mic), datetime.now(UTC))
    try:
        universes = read_universes(settings.universes, settings.liquid_value)
        chosen = universes.check(universe) if universe else None
        asked = Asked(mic, moment, tuple(scanner or ()), _parameters(param or []), chosen, universes, raw, watchlist)
        ranked, best = (top or _SHORTLIST, None) if shortlist else (None, top)
        with progress(f"scanning {mic}", quiet=as_json):
            content = run_scan(settings, asked, top=ranked, save=save, keep=record, best=best)
    except (UnknownScannerError, UniverseError, CalendarError, NoSessionError) as error:
        fail(str(error), USAGE)
    except (LiveScanError, ManifestError) as error:
        fail(str(error))
    except ValueError as error:
        fail(str(error), USAGE)
    if as_json:
        say_json(content)
    else:
        from pipelines.ingest.suspected_actions import describe_suspects, suspected_actions
        from pipelines.storage.location import Lake

        print_scan(content, venue_of(mic))
        suspects = suspected_actions(Lake.from_settings(settings), mic)
        for line in describe_suspects(mic, suspects, withheld=settings.suspected_actions == "withhold"):
            say(line)


def _refuse_combinations(
    param: list[str] | None,
    universe: str | None,
    watchlist: Path | None,
    save: Path | None,
    *,
    shortlist: bool,
    record: bool,
) -> None:
    if universe and watchlist:
        fail("give either --universe or --watchlist, not both", USAGE)
    if shortlist and (universe or watchlist):
        fail("--shortlist scans its own list and everything; leave --universe and --watchlist out", USAGE)
    if save and not shortlist:
        fail("--save writes the shortlist; add --shortlist", USAGE)
    if record and (param or universe or watchlist):
        fail("--record keeps scans as they are declared; leave --param, --universe and --watchlist out", USAGE)


def _moment(text: str | None, venue: Venue, now: datetime) -> datetime:
    """The moment in UTC; a text that is none, or lies in the future, ends the command."""
    if text is None:
        return now
    local_now = now.astimezone(venue.zone)
    try:
        if len(text) <= len("23:59:59") and ":" in text:
            local = datetime.combine(local_now.date(), time.fromisoformat(text))
        elif len(text) == len("2024-01-31"):
            local = datetime.combine(datetime.fromisoformat(text).date(), time(23, 59))
        else:
            local = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--at: {text!r} is no moment; {_CLOCK}", USAGE)
    found = (local if local.tzinfo else local.replace(tzinfo=venue.zone)).astimezone(UTC)
    if found > now and not (len(text) == len("2024-01-31") and local.date() == local_now.date()):
        fail(f"--at: {text} lies in the future: it is {local_now:%Y-%m-%d %H:%M} in {venue.timezone}", USAGE)
    return min(found, now)


def _parameters(texts: Sequence[str]) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        scanner, dot, parameter = name.partition(".")
        if not (sign and dot and scanner and parameter and value):
            fail(f"--param: {text!r} is not SCANNER.NAME=VALUE, such as breakout_20d.volume_factor=2", USAGE)
        found.setdefault(scanner, {})[parameter] = value
    return found


def _warn(broken: Mapping[str, str]) -> None:
    for reason in broken.values():
        warn(reason)
