"""What commands share in reading their arguments: settings, the exchange, days and moments, with one clear line for a wrong one.

Lives here: options that several commands have, and the functions that turn their texts into values.
Does not live here: the commands (`cli.py`, `quarantine_commands.py`), printing (`console.py`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.console import USAGE, fail

if TYPE_CHECKING:
    from pipelines.settings import Settings

Exchange = Annotated[
    str | None, typer.Option("--exchange", help="Exchange as a MIC; default: the first configured.", metavar="MIC")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Wait = Annotated[float | None, typer.Option("--wait", help="Seconds to wait for another writer.", min=0)]


def read_settings(wait: float | None = None) -> Settings:
    """The home's settings; `wait` (seconds) replaces the configured one."""
    from pipelines.settings import Settings

    settings = Settings()
    return settings if wait is None else settings.model_copy(update={"wait_seconds": wait})


def configured(settings: Settings, asked: str | None) -> str:
    """The MIC asked for, or the first configured one; a MIC that is unknown or not configured ends the command."""
    from pipelines.market.exchanges import UnknownExchangeError
    from pipelines.market.exchanges import exchange as venue_of

    mic = asked or settings.exchanges[0]
    try:
        venue_of(mic)
    except UnknownExchangeError as error:
        fail(str(error), USAGE)
    if mic not in settings.exchanges:
        fail(f"{mic} is not configured: add it to MARKETLAKE_EXCHANGES (now {','.join(settings.exchanges)})", USAGE)
    return mic


def day(text: str | None, option: str) -> date:
    """A date written as YYYY-MM-DD; anything else ends the command."""
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        fail(f"{option}: {text!r} is no date; write it as YYYY-MM-DD", USAGE)


def moment(text: str, option: str) -> datetime:
    """A moment in UTC, written with an offset; anything else ends the command."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option}: {text!r} is no moment; write it as 2024-01-31T18:30:00+05:30", USAGE)
    if found.tzinfo is None:
        fail(f"{option}: {text!r} has no offset; write it as 2024-01-31T18:30:00+05:30", USAGE)
    return found.astimezone(UTC)


def user_name() -> str:
    """Name of the user in the operating system; a container's user may have only a number."""
    import getpass
    import os

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
