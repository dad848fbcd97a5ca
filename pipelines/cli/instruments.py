"""The commands `marketlake instruments …`: what people decide about instruments.

Lives here: their arguments and how they print; the small file that a decision is delivered as.
Does not live here: what a split does to names and stored rows (`identity/ticker_transfers.py`), taking one back (`withdraw.py`).
"""

from __future__ import annotations

import csv
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.console import USAGE, counted, fail, progress, say, say_json
from pipelines.cli.options import Exchange, Json, Wait, configured, day, moment, read_settings, user_name

if TYPE_CHECKING:
    from pipelines.identity.ticker_transfers import Split
    from pipelines.ingest.requests import IngestRequest
    from pipelines.storage.location import Lake

instruments = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

#: The decision as a table of the source `actions`; what stands behind its columns is for people.
_COLUMNS = ("symbol", "ex_date", "action", "successor", "decided_by", "decided_at", "reason")


@instruments.callback()
def about() -> None:
    """Decide which company a ticker is on which day.

    Example: marketlake instruments split WM --from 2009-08-05 --reason "Waste Management; Washington Mutual ended in 2008"
    """


@instruments.command("split")
def split(
    symbol: Annotated[str, typer.Argument(help="Ticker that another company has had since.")],
    first_day: Annotated[str, typer.Option("--from", help="First day of the other company.", metavar="DATE")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept on record with your user name.")] = "",
    name: Annotated[str | None, typer.Option("--name", help="Name of the new instrument; default: ticker and date.")] = None,
    exchange: Exchange = None,
    decided_at: Annotated[
        str | None, typer.Option("--decided-at", help="When it counts as known (ISO 8601 with offset); default: now.")
    ] = None,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Part a ticker's history: from a day on its bars, corporate actions and names are a new instrument's.

    For tickers that were used again and of which no ticker history tells. It is delivered as a file of the source `actions`, so
    that `explain` names it and `withdraw` with its batch takes it back. `nightly` then computes both instruments anew.

    Example: marketlake instruments split WM --from 2009-08-05 --reason "Waste Management; Washington Mutual ended in 2008"
    """
    from pipelines.identity.ticker_transfers import SplitError, find_split
    from pipelines.storage.location import Lake

    if not reason.strip():
        fail('--reason: say why, for example --reason "Waste Management; Washington Mutual ended in 2008"', USAGE)
    starts = day(first_day, "--from")
    now = datetime.now(UTC)
    at = moment(decided_at, "--decided-at") if decided_at else now
    if at > now:
        fail(f"--decided-at: {at:%Y-%m-%d %H:%M} UTC lies in the future", USAGE)
    settings = read_settings(wait)
    mic = configured(settings, exchange)
    lake = Lake.from_settings(settings)
    try:
        found = find_split(lake, mic, symbol, starts, name)
    except SplitError as error:
        fail(str(error), USAGE)
    if found.is_done:
        _report(mic, found, None, {}, as_json=as_json)
        return
    order = _deliver(lake, mic, found, name, reason.strip(), at)
    moved = _run(settings, order, found, name, quiet=as_json)
    _report(mic, found, order.deliveries[0].batch_id, moved, as_json=as_json)


def _deliver(lake: Lake, mic: str, found: Split, name: str | None, reason: str, at: datetime) -> IngestRequest:
    """The decision, kept raw as any file is."""
    from pipelines.ingest.requests import IngestRequest
    from pipelines.market.exchanges import exchange as venue_of
    from pipelines.sources.protocol import ParseOptions
    from pipelines.storage.raw import store_raw

    row = (
        found.symbol,
        found.day,
        "ticker_reuse",
        (name or "").strip().upper(),
        user_name(),
        at.isoformat(),
        " ".join(reason.split()),
    )
    known = json.loads(ParseOptions(exchange=mic, timezone=venue_of(mic).timezone).canonical_json())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "actions.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerows([_COLUMNS, row])
        file = f"instruments_split/actions_{found.symbol.replace('/', '_')}_{found.day}.csv"
        return IngestRequest(mic, (store_raw(lake, mic, path, name=file, source="actions", options=known, received_at=at),))


def _run(settings, order: IngestRequest, found: Split, name: str | None, *, quiet: bool) -> dict[str, int]:  # type: ignore[no-untyped-def]
    """Run the ingest job; returns the rows that became the new instrument's, by table. Ends the command where it did not split."""
    import polars as pl

    from pipelines.market.tables import BAR_TABLES, TABLES
    from pipelines.orchestration.ingest_run import ingest as run_ingest
    from pipelines.orchestration.runs import JobFailedError
    from pipelines.storage.delta import LakeTable
    from pipelines.storage.location import Lake
    from pipelines.storage.locks import LockHeldError

    try:
        with progress(f"parting {found.symbol} on {found.day}", quiet=quiet):
            report = run_ingest(settings, order)
    except (JobFailedError, LockHeldError) as error:
        fail(str(error))
    refused = [file for file in report.files if file["status"] == "refused"]
    if refused:
        fail(f"{refused[0]['path']}: {refused[0]['reason']}")
    lake, mic = Lake.from_settings(settings), order.exchange
    gates = [f"the gate of {table} {'; '.join(whys)}" for table, whys in report.refused.items()]
    why = _why_not_done(lake, mic, found, name) or "; ".join(gates)
    if why:
        back = f"marketlake withdraw {order.deliveries[0].batch_id} --exchange {mic} --reason …"
        fail(f"{found.symbol} is not parted on {found.day} as asked: {why}; `{back}` takes the decision back")
    rows = {}
    for table in (*BAR_TABLES, "corporate_actions"):
        stored = LakeTable(lake.table_uri(mic, table), TABLES[table])
        rows[table] = stored.read(columns=["instrument_id"], where=pl.col("instrument_id") == found.new_id).height
    return {table: count for table, count in rows.items() if count}


def _why_not_done(lake: Lake, mic: str, asked: Split, name: str | None) -> str | None:
    """What stands against a split that was ingested, and came on record meanwhile; None where the split is on record."""
    from pipelines.identity.ticker_transfers import SplitError, find_split

    try:
        found = find_split(lake, mic, asked.symbol, asked.day, name)
    except SplitError as error:
        return str(error)
    return None if found.is_done else f"the decision stayed out; `marketlake quarantine list --exchange {mic}` says why"


def _report(mic: str, found: Split, batch: str | None, moved: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        status = "split before" if found.is_done else "split"
        content = {"status": status, "exchange": mic, **vars(found), "day": str(found.day), "batch_id": batch, "rows": moved}
        del content["is_done"]
        say_json(content)
        return
    if found.is_done:
        say(f"{found.symbol} is {found.new_id} from {found.day} on already; nothing was left to do")
        return
    rows = ", ".join(f"{count:,} of {table}" for table, count in moved.items())
    say(f"{found.symbol} is {found.new_id} from {found.day} on ({rows or counted(0, 'row')}); before that it is {found.holder}")
    nightly, withdraw = f"marketlake nightly --exchange {mic}", f"marketlake withdraw {batch} --exchange {mic} --reason …"
    say(f"`{nightly}` computes both anew; `{withdraw}` takes it back")
