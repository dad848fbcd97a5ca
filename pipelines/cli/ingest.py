"""The command `marketlake ingest`: vendor files go through the gate into the lake, and it is said what became of them.

Lives here: its arguments, what is checked before anything heavy is imported, and how it prints.
Does not live here: what an ingest does (`ingest/`, `orchestration/ingest_run.py`), finding files (`ingest/arrivals.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.console import USAGE, count_table, counted, fail, progress, say, say_json, table
from pipelines.cli.options import Exchange, Json, Wait, configured, day, moment, read_settings

if TYPE_CHECKING:
    import polars as pl

    from pipelines.ingest.accounting import Account
    from pipelines.ingest.arrivals import Collected, LeftOut
    from pipelines.settings import Settings

_SHOWN = 5


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Vendor files or folders.", metavar="PATH…")],
    source: Annotated[str, typer.Option("--source", help="Source that reads them; see `marketlake sources`.")],
    exchange: Exchange = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol of a one-symbol file; default: its stem.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Zone of times without one; default: the exchange's.", metavar="TZ")] = None,
    session: Annotated[str | None, typer.Option(help="Date of a file whose rows carry only times.", metavar="DATE")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Reading option of the source, as name=value.", metavar="K=V")] = None,
    received_at: Annotated[str | None, typer.Option(help="When the files arrived (ISO 8601 with offset); default: now.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read, judge and report; write nothing.")] = False,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Take vendor files through the gate into the lake. The same files again change nothing; `nightly` then publishes them.

    Ends with 1 when a file or a session was refused, or more of a file is in quarantine than MARKETLAKE_MAX_QUARANTINED_SHARE; what
    passed is in the lake all the same.

    Example: marketlake ingest data/lean/equity/usa --source lean --exchange XNYS
    """
    settings = read_settings(wait)
    extra = _checked_options(source, option or [])
    arrived = _arrival(received_at)
    on_day = day(session, "--session") if session else None
    _check_zone(timezone)
    for path in paths:
        if not path.exists():
            fail(f"{path} does not exist", USAGE)
    mic = configured(settings, exchange)
    collected = _collect(
        settings, mic, paths, source, arrived, store=not dry_run, timezone=timezone, symbol=symbol, session=on_day, extra=extra
    )
    unreadable = [{"path": f.name, "status": "refused", "rows": 0, "reason": f.reason} for f in collected.left_out if f.refused]
    if not collected.order.deliveries:
        fail("; ".join(f"{f['path']}: {f['reason']}" for f in unreadable) or "there is no file to ingest")
    files = counted(len(collected.order.deliveries), "file")
    if dry_run:
        report: Any = _try(settings, collected, f"trying {files} for {mic}", quiet=as_json)
    else:
        report = _run(settings, collected, f"ingesting {files} into {mic}", quiet=as_json)
    exit_code = report.account.exit_code([*report.files, *unreadable], report.refused, settings.max_quarantined_share)
    if as_json:
        say_json(_document(report, unreadable, collected.left_out, exit_code, settings, dry_run=dry_run))
    else:
        _say_files(report.files, collected.left_out)
        for name, reasons in report.refused.items():
            say(f"the gate of {name} {'; '.join(reasons)}")
        _say_account(report.account, settings)
        count_table(report.tables)
        if not dry_run:
            say_suspects(settings, mic, report.suspects)
        _say_next(report, mic, dry_run=dry_run)
    raise typer.Exit(exit_code)


def say_suspects(settings: Settings, mic: str, suspects: pl.DataFrame) -> None:
    """Suspected splits and demergers, with the commands that decide about them."""
    from pipelines.ingest.suspected_actions import describe_suspects

    for line in describe_suspects(mic, suspects, withheld=settings.suspected_actions == "withhold"):
        say(line)


def _checked_options(source: str, options: Sequence[str]) -> dict[str, str]:
    """The source's own options by name; a source, an option or a value that is unknown ends the command."""
    from pipelines.sources.names import SourceOptionError, UnknownSourceError, check_source

    extra = dict(_pair(text) for text in options)
    try:
        check_source(source, extra)
    except UnknownSourceError as error:
        fail(str(error), USAGE)
    except SourceOptionError as error:
        fail(f"--option: {error}", USAGE)
    return extra


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        fail(f"--option: {text!r} is not name=value", USAGE)
    return name, value


def _check_zone(timezone: str | None) -> None:
    from pipelines.sources.names import zone_fault

    if timezone is not None and (fault := zone_fault(timezone)):
        fail(f"time zone {fault}", USAGE)


def _arrival(text: str | None) -> datetime:
    """The moment of a delivery: now, or the one given, which cannot lie ahead: rows would count as unknown until then."""
    now = datetime.now(UTC)
    arrived = moment(text, "--received-at") if text else now
    if arrived > now:
        fail(f"--received-at: {text} lies in the future (it is {now:%Y-%m-%dT%H:%M:%SZ}); give the moment the files arrived", USAGE)
    return arrived


def _collect(
    settings: Settings,
    mic: str,
    paths: Sequence[Path],
    source: str,
    received_at: datetime,
    *,
    store: bool,
    timezone: str | None,
    symbol: str | None,
    session: date | None,
    extra: Mapping[str, str],
) -> Collected:
    """The deliveries; whatever is wrong with the paths or the source ends the command."""
    from pipelines.ingest.arrivals import NoFilesError, Reading, collect
    from pipelines.sources.protocol import SourceError
    from pipelines.sources.registry import SourcePluginError, UnknownSourceError
    from pipelines.sources.registry import source as find_source
    from pipelines.storage.location import Lake

    reading = Reading(timezone=timezone, symbol=symbol, session=session, extra=extra)
    try:
        reader = find_source(source)
        return collect(Lake.from_settings(settings), mic, paths, reader, received_at=received_at, store=store, **reading)
    except (UnknownSourceError, SourcePluginError, NoFilesError, SourceError, FileNotFoundError) as error:
        fail(str(error), USAGE)
    except OSError as error:
        fail(f"cannot read {error.filename}: {error.strerror}")


def _run(settings: Settings, collected: Collected, task: str, *, quiet: bool):  # type: ignore[no-untyped-def]
    """Run the ingest job; JobFailedError and LockHeldError become one line."""
    from pipelines.orchestration.ingest_run import ingest as run_ingest
    from pipelines.orchestration.runs import JobFailedError
    from pipelines.storage.locks import LockHeldError

    try:
        with progress(task, quiet=quiet):
            return run_ingest(settings, collected.order)
    except (JobFailedError, LockHeldError) as error:
        fail(str(error))


def _try(settings: Settings, collected: Collected, task: str, *, quiet: bool):  # type: ignore[no-untyped-def]
    """What the ingest job would report, without running it; its failure is one line."""
    from pipelines.ingest.dry_run import DryRunFailedError, run_dry
    from pipelines.sources.limits import configured_limits
    from pipelines.sources.registry import load_sources
    from pipelines.storage.location import Lake

    try:
        with progress(task, quiet=quiet):
            lake, limits = Lake.from_settings(settings), configured_limits(settings)
            return run_dry(lake, collected.order, load_sources(), collected.paths, limits)
    except DryRunFailedError as error:
        fail(str(error))


def _document(
    report: Any,
    unreadable: Sequence[Mapping[str, Any]],
    left_out: Sequence[LeftOut],
    exit_code: int,
    settings: Settings,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    account: Account = report.account
    return {
        "files": [*report.files, *unreadable],
        "left_out": [{"path": f.name, "reason": f.reason} for f in left_out if not f.refused],
        "tables": report.tables,
        "refused": report.refused,
        "rules": account.rules,
        "sessions_out": account.sessions,
        "files_over_share": account.files_over(settings.max_quarantined_share),
        "warnings": account.warnings,
        "dry_run": dry_run,
        "exit_code": exit_code,
    }


def _say_files(files: Sequence[Mapping[str, Any]], left_out: Sequence[LeftOut]) -> None:
    for entry in left_out:
        say(f"{'refused' if entry.refused else 'left out'}: {entry.name}: {entry.reason}")
    for file in files:
        if reason := file.get("reason"):
            # A source names the file with the row, most other reasons name none.
            message = reason if reason.startswith(file["path"]) else f"{file['path']}: {reason}"
            say(f"{'refused' if file['status'] == 'refused' else 'warning'}: {message}")


def _say_account(account: Account, settings: Settings) -> None:
    """What stayed out: whole sessions, shares of files, then a row per rule; and what the gate only noticed."""
    faults = account.faults(settings.max_quarantined_share)
    for fault in faults[:_SHOWN]:
        say(f"out: {fault}")
    if len(faults) > _SHOWN:
        say(f"out: {len(faults) - _SHOWN:,} more of these; `--json` lists them")
    for warning in account.warnings:
        say(f"noticed: {warning['table']}: {warning['expectation']}: {warning['rows']:,} cases, such as {warning['sample']}")
    if account.rules:
        rows = [
            [rule["table"], rule["rule"], rule["rows"], rule["sessions"], f"{rule['batch_id'][:12]} {rule['row_number']}"]
            for rule in account.rules
        ]
        table(["quarantined in", "rule", "rows", "sessions", "first row"], rows)


def _say_next(report: Any, mic: str, *, dry_run: bool) -> None:
    """The command that comes next."""
    new = sum(row["accepted"] + row["restated"] for row in report.tables.values())
    rules = report.account.rules
    if dry_run:
        say("dry run: nothing was written; the same command without --dry-run takes the files in")
        return
    if rules:
        first = rules[0]
        say(f"why a row stayed out:  marketlake quarantine show {first['batch_id'][:12]} {first['row_number']} --exchange {mic}")
    if new:
        say(f"publish what is new:  marketlake nightly --exchange {mic}")
    elif not rules and not any(f["status"] == "refused" for f in report.files):
        say("nothing is new: the lake holds all of it already")
