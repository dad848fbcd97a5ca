"""The commands about rows that were not let in: `marketlake quarantine list|show|release`.

Lives here: their arguments and how they print.
Does not live here: decisions and releases (`quality/`), running the job (`orchestration/launch.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.arguments import Exchange, Json, Wait, configured, day, read_settings, user_name
from pipelines.console import USAGE, fail, progress, say, say_fields, say_json, table

if TYPE_CHECKING:
    from pipelines.quality.decisions import Selection
    from pipelines.settings import Settings

Table = Annotated[str | None, typer.Option("--table", help="Lake table the row was meant for.")]
Rule = Annotated[str | None, typer.Option("--rule", help="Rule that stopped it; session_refused means all of that kind.")]
Symbol = Annotated[str | None, typer.Option("--symbol", help="Symbol or instrument_id.")]
Day = Annotated[str | None, typer.Option("--session", help="Session of the row.", metavar="DATE")]

_SHORT = 12
_COUNTED = ["table", "rule", "source", "session", "rows", "open", "first row"]

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
    as_json: Json = False,
) -> None:
    """Count the rows in quarantine by table, rule, source and session, with the first of each for `show`.

    Example: marketlake quarantine list --rule high_below_low --all
    """
    from pipelines.quality.decisions import Selection, quarantine_counts
    from pipelines.storage.location import Lake

    settings = read_settings()
    mic = configured(settings, exchange)
    wanted = Selection(table_name, rule, source, symbol, day(session, "--session") if session else None)
    groups = quarantine_counts(Lake(settings.lake_root), mic, wanted, only_open=only_open)
    if as_json:
        say_json(groups)
        return
    if not groups:
        say(f"no row of {mic} is in quarantine{' any more' if only_open else ''} under this selection")
        return
    shown = [[*(g[c] for c in _COUNTED[:-1]), f"{g['batch_id'][:_SHORT]} {g['row_number']}"] for g in groups]
    table(_COUNTED, shown)


@quarantine.command()
def show(
    batch: Annotated[str, typer.Argument(help="Batch of the row, or how it begins.")],
    row: Annotated[int, typer.Argument(help="Row number.", min=1)],
    exchange: Exchange = None,
    table_name: Table = None,
    as_json: Json = False,
) -> None:
    """Tell of one row why it was stopped, what it says, the raw file it came in, and the decision about it, if there is one.

    Example: marketlake quarantine show 4f3a 17
    """
    from pipelines.quality.provenance import quarantine_record
    from pipelines.storage.location import Lake

    settings = read_settings()
    mic = configured(settings, exchange)
    selection = _row(settings, mic, batch, row, table_name)
    records = quarantine_record(Lake(settings.lake_root), mic, selection)
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

    Example: marketlake quarantine release 4f3a 17 --reason "confirmed by the exchange's circular"
    """
    from pipelines.quality.decisions import Selection
    from pipelines.quality.release import AlreadyReleasedError, SelectionError, release_order
    from pipelines.storage.location import Lake

    if not reason.strip():
        fail('--reason: say why, for example --reason "confirmed by the exchange\'s circular"', USAGE)
    if (batch is None) != (row is None) or (batch is None and not (rule and table_name)):
        fail("name a row by its batch and number, or give at least --table and --rule", USAGE)
    settings = read_settings(wait)
    mic = configured(settings, exchange)
    if batch is not None:
        one = _row(settings, mic, batch, row, table_name)
        selection = Selection(one.table, rule, batch_id=one.batch_id, row_number=row)
    else:
        selection = Selection(table_name, rule, None, symbol, day(session, "--session") if session else None)
    try:
        order = release_order(
            Lake(settings.lake_root),
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


def _row(settings: Settings, mic: str, batch: str, row: int | None, table_name: str | None) -> Selection:
    """The selection of one row; a batch that is unknown or ambiguous ends the command."""
    from pipelines.quality.decisions import Selection, quarantined
    from pipelines.storage.location import Lake

    selection = Selection(table=table_name, batch_id=batch, row_number=row)
    rows = quarantined(Lake(settings.lake_root), mic)
    found = selection.of(rows)
    if found.is_empty():
        known = Selection(batch_id=batch).of(rows)
        if known.is_empty():
            fail(
                f"no batch of {mic} that begins with {batch!r} has rows in quarantine; see `marketlake quarantine list --all`",
                USAGE,
            )
        numbers = ", ".join(map(str, known["row_number"].unique().sort().head(10)))
        fail(f"row {row} of batch {batch}{f' of {table_name}' if table_name else ''} is not in quarantine; held: {numbers}", USAGE)
    batches = found.get_column("batch_id").unique().sort().to_list()
    if len(batches) > 1:
        fail(f"{batch!r} begins several batches: {', '.join(batches)}", USAGE)
    return Selection(table=table_name, batch_id=batches[0], row_number=row)


def _release(settings: Settings, order, *, quiet: bool):  # type: ignore[no-untyped-def]
    """Run the job; what stands against the release becomes one line."""
    from pipelines.orchestration.launch import JobFailedError
    from pipelines.orchestration.launch import release as run_release
    from pipelines.quality.release import NotReleasedError
    from pipelines.storage.locks import LockHeldError

    try:
        with progress("releasing from quarantine", quiet=quiet):
            return run_release(settings, order)
    except (NotReleasedError, JobFailedError, LockHeldError) as error:
        fail(str(error))
