"""The command `marketlake withdraw`: a delivery is taken back.

Lives here: its arguments and how it prints.
Does not live here: what a withdrawal does (`ingest/withdrawal.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.console import USAGE, counted, fail, progress, say, say_json, table
from pipelines.cli.options import Exchange, Json, Wait, configured, moment, read_settings, user_name

if TYPE_CHECKING:
    from pipelines.ingest.withdrawal import Withdrawn

#: Further deliveries that the text names; --json has all.
_SHOWN = 5


def withdraw(
    batch: Annotated[str, typer.Argument(help="Batch of the delivery, or how it begins.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept on record with your user name.")] = "",
    exchange: Exchange = None,
    withdrawn_at: Annotated[
        str | None, typer.Option("--withdrawn-at", help="When it counts as known (ISO 8601 with offset); default: now.")
    ] = None,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Take a delivery back: its rows go, what they had replaced comes back, and the same file is refused from then on.

    What later deliveries said of the same rows stands. The lake keeps the withdrawn rows as replaced ones, with your reason;
    `nightly` then computes what it touches. Repeating the command completes a withdrawal that was interrupted, and changes nothing
    else.

    Example: marketlake withdraw 8e9c2235 --reason "the vendor sent last year's file"
    """
    from pipelines.ingest.withdrawal import UnknownBatchError, Withdrawal, find_batch, withdraw_delivery
    from pipelines.storage.location import Lake
    from pipelines.storage.locks import LockHeldError

    if not reason.strip():
        fail('--reason: say why, for example --reason "the vendor sent last year\'s file"', USAGE)
    now = datetime.now(UTC)
    at = moment(withdrawn_at, "--withdrawn-at") if withdrawn_at else now
    if at > now:
        fail(f"--withdrawn-at: {at:%Y-%m-%d %H:%M} UTC lies in the future", USAGE)
    settings = read_settings(wait)
    exchanges = [configured(settings, exchange)] if exchange else list(settings.exchanges)
    lake = Lake.from_settings(settings)
    try:
        mic, found = find_batch(lake, exchanges, batch)
        withdrawal = Withdrawal(found, reason.strip(), user_name(), at)
        with progress(f"withdrawing batch {found} from {mic}", quiet=as_json):
            done = withdraw_delivery(lake, mic, withdrawal, settings.state_dir, settings.lock_wait)
    except UnknownBatchError as error:
        fail(str(error), USAGE)
    except LockHeldError as error:
        fail(str(error))
    _report(mic, done, as_json=as_json)


def _report(mic: str, done: Withdrawn, *, as_json: bool) -> None:
    rows = {name: {"removed": figures.removed, "restored": figures.restored} for name, figures in done.tables.items()}
    if as_json:
        content: dict[str, Any] = {
            "status": "withdrawn before" if done.was_done_before else "withdrawn",
            "exchange": mic,
            "file": done.name,
            **vars(done.withdrawal),
            "tables": rows,
            "sessions_with_lost_rows": done.sessions,
            "other_deliveries": done.others,
        }
        say_json(content)
        return
    if done.was_done_before:
        say(f"{done.name} was {done.withdrawal.describe()}{'' if rows else '; nothing was left to do'}")
    else:
        say(f"{done.name} (batch {done.withdrawal.batch_id}) is withdrawn from {mic}")
    if rows:
        table(["table", "removed", "restored"], [[name, *figures.values()] for name, figures in rows.items()])
    if done.others:
        more = f" and {len(done.others) - _SHOWN} more" if len(done.others) > _SHOWN else ""
        sessions = counted(len(done.sessions), "session")
        say(f"no other version is on record for rows of {sessions}; deliveries that may hold them, to be ingested again:")
        say(f"{', '.join(done.others[:_SHOWN])}{more}")
    if rows:
        say("`marketlake nightly` computes what it touches")
