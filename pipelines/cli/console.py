"""What commands print: tables, lines of progress, errors; and JSON for machines.

Lives here: formatting for terminals and pipes.
Does not live here: what is printed (`app.py` and the modules beside it).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from pipelines.printable import visible_json, visible_line

#: The last is what shells give for Ctrl-C, and what Typer ends with.
REFUSED, USAGE, INTERRUPTED = 1, 2, 130


def fail(message: str, code: int = REFUSED) -> NoReturn:
    """End the command with one clear line on standard error."""
    import typer

    say_error(message)
    raise typer.Exit(code)


def say_error(message: str) -> None:
    """One line on standard error, as every error of a command is printed."""
    print(f"error: {visible_line(' '.join(message.split()))}", file=sys.stderr)  # noqa: T201


def warn(message: str) -> None:
    """One line of warning on standard error."""
    print(f"warning: {visible_line(' '.join(message.split()))}", file=sys.stderr)  # noqa: T201


def say(line: str = "") -> None:
    """One line on standard output."""
    print(visible_line(line))  # noqa: T201


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def say_json(value: Any) -> None:
    """A JSON document on standard output, keys in order."""
    print(visible_json(json.dumps(value, indent=2, default=str, ensure_ascii=False)))  # noqa: T201


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """A table; numbers are set to the right. Plain enough to be read in a log."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = Text(visible_line(title)) if title else None
    shown = Table(title=heading, title_justify="left", box=None, pad_edge=False, header_style="bold")
    numeric = [all(isinstance(row[i], int | float) for row in rows) and bool(rows) for i in range(len(columns))]
    for name, is_number in zip(columns, numeric, strict=True):
        shown.add_column(Text(visible_line(name)), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        # As Text, a cell is data: a string would be read as rich's markup.
        shown.add_row(*(Text(visible_line(_cell(value))) for value in row))
    Console(width=None if sys.stdout.isatty() else 140).print(shown)


def say_record(record: Mapping[str, Any]) -> None:
    """Every column of one row with its value, one a line; control characters are shown escaped, a missing value as NULL."""
    width = max(map(len, record), default=0)
    for name, value in record.items():
        shown = "NULL" if value is None else str(value)
        say(f"{name:>{width}}  {''.join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)}")


def say_fields(content: dict[str, Any], indent: str = "") -> None:
    """Names and values, nested ones below their name; what is absent is left out."""
    for name, value in content.items():
        if value is None or value in ("", [], {}):
            continue
        if isinstance(value, dict):
            say(f"{indent}{name}:")
            say_fields(value, indent + "  ")
        elif isinstance(value, list) and isinstance(value[0], dict):
            say(f"{indent}{name}:")
            for entry in value:
                say_fields(entry, indent + "  ")
                say()
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            say(f"{indent}{name + ':':<{max(18 - len(indent), 1)}} {shown}")


@contextmanager
def progress(task: str, *, quiet: bool = False) -> Iterator[None]:
    """A moving line while something long runs, on a terminal only; elsewhere one line when it starts."""
    if quiet:
        yield
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(Text(f"{visible_line(task)} …"))
        yield
        return
    with console.status(Text(f"{visible_line(task)} …")):
        yield


def count_table(figures: Mapping[str, Mapping[str, int]]) -> None:
    """Rows of an ingest by table: read = accepted + unchanged + restated + duplicates + quarantined. Empty tables are left out."""
    figures = {name: row for name, row in figures.items() if any(row.values())}
    if not figures:
        return
    columns = ["read", "accepted", "unchanged", "restated", "duplicates", "quarantined"]
    table(["table", *columns], [[name, *(row[c] for c in columns)] for name, row in figures.items()])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4f}" if isinstance(value, float) else str(value)
