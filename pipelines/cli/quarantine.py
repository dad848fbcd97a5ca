"""The commands about rows that were not let in: `marketlake quarantine list|show|release`.

Lives here: their arguments and how they print.
Does not live here: overrides (`ingest/overrides.py`), running the job (`orchestration/ingest_run.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.console import USAGE, fail, progress, say, say_fields, say_json, table
from pipelines.cli.options import Exchange, Json, Wait, configured, day, exchanges_to_search, read_settings, user_name

if TYPE_CHECKING:
    from pipelines.ingest.overrides import Selection
    from pipelines.settings import Settings

Table = Annotated[str | None, typer.Option("--table", help="Lake table the row was meant for.")]
Rule = Annotated[str | None, typer.Option("--rule", help="Rule that stopped it; session_refused means all of that kind.")]
Symbol = Annotated[str | None, typer.Option("--symbol", help="Symbol or instrument_id.")]
Day = Annotated[str | None, typer.Option("--session", help="Session of the row.", metavar="DATE")]

_SHORT = 12
_BY_SESSION = ["table", "rule", "source", "session", "rows", "open", "first row"]
_BY_DELIVERY = ["received", "delivery", "source", "table", "rule", "sessions", "rows", "open", "first row"]

quarantine = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@quarantine.callback()
def about() -> None:
    """Rows that were not let in: list them, show one, release them by a recorded decision.

    Example: marketlake quarantine list
    """


@quarantine.command("list")
def list_rows(
    exchange: Exchange = None,
    table_name: Table = None,
    rule: Rule = None,
    source: Annotated[str | None, typer.Option("--source", help="Source that delivered the row.")] = None,
    symbol: Symbol = None,
    session: Day = None,
    only_open: Annotated[bool, typer.Option("--open/--all", help="Only rows that nobody released, or all.")] = True,
    by_session: Annotated[bool, typer.Option("--by-session", help="Count by session instead of by delivery.")] = False,
    as_json: Json = False,
) -> None:
    """Count the rows in quarantine by delivery, table and rule, with the first row of each for `show`.

    --json counts by table, rule, source and session, as --by-session does.

    Example: marketlake quarantine list --rule implausible_range --all
    """
    from pipelines.ingest.overrides import Selection, quarantine_counts, quarantine_totals
    from pipelines.storage.location import Lake

    settings = read_settings()
    mic = configured(settings, exchange)
    wanted = Selection(table_name, rule, source, symbol, day(session, "--session") if session else None)
    lake = Lake.from_settings(settings)
    if as_json:
        say_json(quarantine_counts(lake, mic, wanted, only_open=only_open))
        return
    count = quarantine_counts if by_session else quarantine_totals
    groups = count(lake, mic, wanted, only_open=only_open)
    if not groups:
        say(f"no row of {mic} is in quarantine{' any more' if only_open else ''} under this selection")
        return
    if by_session:
        table(_BY_SESSION, [[*(g[c] for c in _BY_SESSION[:-1]), _first_row(g)] for g in groups])
    else:
        table(_BY_DELIVERY, [_delivery_row(group) for group in groups])


def _delivery_row(group: dict[str, Any]) -> list[Any]:
    first, last = group["first_session"], group["last_session"]
    sessions = first if first == last else f"{first} to {last}"
    named = [f"{group['received_at']:%Y-%m-%d %H:%M}", group["name"], group["source"], group["table"], group["rule"]]
    return [*named, sessions, group["rows"], group["open"], _first_row(group)]


def _first_row(group: dict[str, Any]) -> str:
    return f"{group['batch_id'][:_SHORT]} {group['row_number']}"


@quarantine.command()
def show(
    batch: Annotated[str, typer.Argument(help="Batch of the row, or how it begins.")],
    row: Annotated[int, typer.Argument(help="Row number.", min=1)],
    exchange: Exchange = None,
    table_name: Table = None,
    as_json: Json = False,
) -> None:
    """Tell of one row why it was stopped, what it says, the raw file it came in, and the decision about it, if there is one.

    Example: marketlake quarantine show a8baee95 1037
    """
    from pipelines.ingest.bar_provenance import quarantine_record
    from pipelines.storage.location import Lake

    settings = read_settings()
    mic, selection = _row(settings, exchange, batch, row, table_name)
    records = quarantine_record(Lake.from_settings(settings), mic, selection)
    if as_json:
        say_json(records)
        return
    for record in records:
        say_fields(record)


@quarantine.command()
def release(
    batch: Annotated[str | None, typer.Argument(help="Batch of the row, or how it begins.")] = None,
    row: Annotated[int | None, typer.Argument(help="Row number.", min=1)] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why it is right after all; kept on record with your user name.")] = "",
    exchange: Exchange = None,
    table_name: Table = None,
    rule: Rule = None,
    symbol: Symbol = None,
    session: Day = None,
    overrule: Annotated[
        list[str] | None, typer.Option("--overrule", help="A further rule that shall not count for these rows.")
    ] = None,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Let rows in by a decision: the rule that held them is overruled, every other one, the gate and the merge still count.

    One row by batch and number, or those of a filter (--rule and --table at least). All of them or none. A later delivery of the
    same file obeys the decision.

    Example: marketlake quarantine release a8baee95 840 --reason "confirmed by the exchange's circular"
    """
    from pipelines.ingest.overridden_rows import AlreadyReleasedError, SelectionError, override_request
    from pipelines.ingest.overrides import Selection
    from pipelines.storage.location import Lake

    if not reason.strip():
        fail('--reason: say why, for example --reason "confirmed by the exchange\'s circular"', USAGE)
    if (batch is None) != (row is None) or (batch is None and not (rule and table_name)):
        fail("name a row by its batch and number, or give at least --table and --rule", USAGE)
    settings = read_settings(wait)
    if batch is not None:
        mic, one = _row(settings, exchange, batch, row, table_name)
        selection = Selection(one.table, rule, batch_id=one.batch_id, row_number=row)
    else:
        mic = configured(settings, exchange)
        selection = Selection(table_name, rule, None, symbol, day(session, "--session") if session else None)
    try:
        order = override_request(
            Lake.from_settings(settings),
            mic,
            selection,
            reason=reason.strip(),
            decided_by=user_name(),
            decided_at=datetime.now(UTC),
            overrule=overrule or (),
        )
    except SelectionError as error:
        fail(str(error), USAGE)
    except AlreadyReleasedError as known:
        say_json({"status": "already released", "detail": str(known)}) if as_json else say(str(known))
        return
    report = _release(settings, order, quiet=as_json)
    if as_json:
        say_json({"status": "released", **vars(report)})
        return
    say(
        f"released into {report.table} (version {report.version}): {report.accepted} accepted, {report.restated} restated, "
        f"{report.unchanged} unchanged; overruled: {', '.join(report.overruled)}"
    )
    say("`marketlake nightly` rebuilds what it touches")


def _row(settings: Settings, exchange: str | None, batch: str, row: int | None, table_name: str | None) -> tuple[str, Selection]:
    """The exchange and the selection of one row; a batch that is unknown or ambiguous ends the command."""
    from pipelines.ingest.overrides import Selection, quarantined
    from pipelines.storage.location import Lake

    lake, asked = Lake.from_settings(settings), exchanges_to_search(settings, exchange)
    of_batch = {mic: rows for mic in asked if (rows := Selection(batch_id=batch).of(quarantined(lake, mic))).height}
    if not of_batch:
        fail(
            f"no batch of {', '.join(asked)} that begins with {batch!r} has rows in quarantine; "
            "see `marketlake quarantine list --all`",
            USAGE,
        )
    selection = Selection(table=table_name, batch_id=batch, row_number=row)
    matches = {mic: rows for mic, known in of_batch.items() if (rows := selection.of(known)).height}
    if not matches:
        numbers = ", ".join(str(number) for rows in of_batch.values() for number in rows["row_number"].unique().sort().head(10))
        fail(f"row {row} of batch {batch}{f' of {table_name}' if table_name else ''} is not in quarantine; held: {numbers}", USAGE)
    batches = sorted({(mic, batch_id) for mic, rows in matches.items() for batch_id in rows["batch_id"]})
    if len(batches) > 1:
        fail(f"{batch!r} begins several batches: {', '.join(f'{batch_id} of {mic}' for mic, batch_id in batches)}", USAGE)
    ((mic, batch_id),) = batches
    return mic, Selection(table=table_name, batch_id=batch_id, row_number=row)


def _release(settings: Settings, order, *, quiet: bool):  # type: ignore[no-untyped-def]
    """Run the job; what stands against the release becomes one line."""
    from pipelines.ingest.overridden_rows import NotReleasedError
    from pipelines.orchestration.ingest_run import release as run_release
    from pipelines.orchestration.runs import JobFailedError
    from pipelines.storage.locks import LockHeldError

    try:
        with progress("releasing from quarantine", quiet=quiet):
            return run_release(settings, order)
    except (NotReleasedError, JobFailedError, LockHeldError) as error:
        fail(str(error))
