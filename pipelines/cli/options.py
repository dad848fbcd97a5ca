"""What commands share in reading their arguments: settings, the exchange, days and moments, with one clear line for a wrong one.

Lives here: options that several commands have, and the functions that turn their texts into values.
Does not live here: the commands (`app.py`, `quarantine.py`), printing (`console.py`).
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.console import USAGE, fail, warn
from pipelines.user_files import UserFileError, read_text_file, shown

if TYPE_CHECKING:
    from pydantic import ValidationError

    from pipelines.settings import Settings

Exchange = Annotated[
    str | None,
    typer.Option(
        "--exchange", help="Exchange as a MIC; default: the only one that has bars, or the first configured.", metavar="MIC"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Wait = Annotated[float | None, typer.Option("--wait", help="Seconds to wait for another writer.", min=0)]


def read_settings(wait: float | None = None, home: Path | None = None) -> Settings:
    """The home's settings; `wait` (seconds) and `home` replace those configured.

    A configured exchange that is none ends the command. A home that was copied or moved is put right first.
    """
    from pipelines.settings import Settings

    settings = Settings() if home is None else Settings(home=home)
    _check_exchanges(settings.exchanges)
    _renew_moved(settings)
    return settings if wait is None else settings.model_copy(update={"wait_seconds": wait})


def _renew_moved(settings: Settings) -> None:
    from pipelines.storage.home_place import is_in_place

    if is_in_place(settings.state_dir, settings.lake_root):
        return
    from pipelines.maintenance.moved_home import renew_moved_home
    from pipelines.storage.location import Lake

    moved_from = renew_moved_home(Lake.from_settings(settings), settings.state_dir, settings.catalogue_link)
    if moved_from is not None:
        warn(f"{settings.home} was copied or moved from {moved_from}: its catalogue was made anew")


def _check_exchanges(mics: tuple[str, ...]) -> None:
    """End the command where a configured exchange is none."""
    from pipelines.market.exchanges import UnknownExchangeError, require_known

    for mic in mics:
        try:
            require_known(mic)
        except UnknownExchangeError as error:
            fail(f"MARKETLAKE_EXCHANGES: {error}", USAGE)


def check_settings_file(path: Path = Path(".env")) -> None:
    """Raise UserFileError, with file and line, for what the reader of settings would pass over in silence.

    Lines of this project are looked at alone: no line without a value, no name twice, no slip in a name, no control character.
    """
    if not path.is_file():
        return
    from pipelines.settings import FROM_ENVIRONMENT, Settings

    known = {f"MARKETLAKE_{name.upper()}" for name in Settings.model_fields}
    seen: dict[str, int] = {}
    for number, line in settings_lines(path):
        name, sign, value = (part.strip() for part in line.removeprefix("export ").partition("="))
        place = f"{path}:{number}: {shown(name)[1:-1]}"
        if not sign:
            raise UserFileError(f"{place} has no value; write NAME=value")
        if name in seen:
            raise UserFileError(f"{place} is set in line {seen[name]} already; remove one")
        if any(ord(character) < 0x20 for character in value):
            raise UserFileError(f"{place} holds a control character: {shown(value)}")
        if name.removeprefix("MARKETLAKE_").lower() in FROM_ENVIRONMENT:
            raise UserFileError(f"{place} holds secrets and is read from the environment alone: take it out of the file")
        near = get_close_matches(name, known, 1, 0.85)
        if name not in known and near:
            raise UserFileError(f"{place} is no setting; did you mean {near[0]}?")
        seen[name] = number


def settings_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of this project in a file of settings, numbered; none where there is no file."""
    if not path.is_file():
        return []
    lines = enumerate(read_text_file(path, "settings").split("\n"), 1)
    ours = ((number, line.strip()) for number, line in lines)
    return [(number, line) for number, line in ours if line.removeprefix("export ").startswith("MARKETLAKE_")]


def setting_problems(error: ValidationError, path: Path = Path(".env")) -> str:
    """What is wrong with the settings, each with the line of the file it comes from, or as a variable of the environment."""
    problems = []
    for problem in error.errors():
        name = f"MARKETLAKE_{'.'.join(map(str, problem['loc'])).upper()}"
        lines = [n for n, line in settings_lines(path) if line.removeprefix("export ").partition("=")[0].strip() == name]
        place = f"{path}:{lines[-1]}: " if lines and name not in os.environ else ""
        problems.append(f"{place}{name}: {problem['msg']}")
    return "; ".join(problems)


def require_home(settings: Settings, *, make: bool) -> None:
    """End the command in a folder that is no home, unless `make` or a person at the terminal says to make it one.

    A home has `.state/` or a folder in its lake; a lake at a URI is somebody's already.
    """
    lake = Path(settings.lake_root)
    is_home = settings.state_dir.is_dir() or "://" in settings.lake_root
    if make or is_home or (lake.is_dir() and any(entry.is_dir() for entry in lake.iterdir())):
        return
    message = f"{settings.home} is no marketlake home: it has neither lake nor state"
    if not sys.stdin.isatty():
        hint = "go to your home or set MARKETLAKE_HOME; `marketlake ingest` and `marketlake demo` make one, --yes does so here"
        fail(f"{message}; {hint}", USAGE)
    if not typer.confirm(f"{message}. Make it one?", default=False, err=True):
        fail("nothing was made or run", USAGE)


def configured(settings: Settings, asked: str | None) -> str:
    """The MIC asked for; without one the only configured exchange that has bars, or the first configured one.

    A MIC that is unknown or not configured ends the command.
    """
    from pipelines.market.exchanges import UnknownExchangeError, require_known

    if asked is None:
        with_bars = _exchanges_with_bars(settings) if len(settings.exchanges) > 1 else []
        return with_bars[0] if len(with_bars) == 1 else settings.exchanges[0]
    try:
        require_known(asked)
    except UnknownExchangeError as error:
        fail(str(error), USAGE)
    if asked not in settings.exchanges:
        fail(f"{asked} is not configured: add it to MARKETLAKE_EXCHANGES (now {','.join(settings.exchanges)})", USAGE)
    return asked


def exchanges_to_search(settings: Settings, asked: str | None) -> list[str]:
    """The exchange asked for; without one every configured exchange that has bars, or the first configured where none has."""
    if asked is not None:
        return [configured(settings, asked)]
    return _exchanges_with_bars(settings) or [settings.exchanges[0]]


def _exchanges_with_bars(settings: Settings) -> list[str]:
    from pipelines.market.tables.bars import BARS_1M, BARS_DAILY
    from pipelines.storage.delta import LakeTable
    from pipelines.storage.location import Lake

    lake = Lake.from_settings(settings)
    return [
        mic
        for mic in settings.exchanges
        if any(LakeTable(lake.table_uri(mic, bars.name), bars).version() is not None for bars in (BARS_DAILY, BARS_1M))
    ]


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
