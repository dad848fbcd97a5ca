"""The documents say only what is so: their links lead somewhere, and the commands in them exist with these options."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from pipelines.cli.app import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("lake/*.md"), *ROOT.glob("dbt_project/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`(marketlake [a-z][^`\n]*)`(?!`)")


def commands(text: str) -> list[list[str]]:
    """Words of each `marketlake …` command in fenced blocks and inline code, without what follows a comment or a pipe."""
    fenced = [line.strip() for block in FENCE.findall(text) for line in block.splitlines()]
    found = [line for line in fenced if line.startswith("marketlake ")] + INLINE.findall(text)
    return [shlex.split(line, comments=True)[1:] for line in found]


def problem(words: list[str]) -> str | None:
    """What is wrong with a command's name or options. What follows two dashes is another program's."""
    words = words[: words.index("--")] if "--" in words else words
    group = typer.main.get_command(app)
    command = group.commands.get(words[0])  # type: ignore[union-attr]
    while command is not None and len(words) > 1 and words[1] in getattr(command, "commands", {}):
        words = words[1:]
        command = command.commands[words[0]]  # type: ignore[attr-defined]
    if command is not None and hasattr(command, "default"):
        command = command.commands[command.default]  # type: ignore[attr-defined]
    if command is None:
        return f"no command {words[0]}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
    return f"{words[0]} has no option {', '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_to_files(document: Path) -> None:
    targets = [link.split("#")[0] for link in LINK.findall(document.read_text(encoding="utf-8"))]
    relative = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    assert [target for target in relative if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist_with_their_options(document: Path) -> None:
    found = [problem(words) for words in commands(document.read_text(encoding="utf-8"))]
    assert [wrong for wrong in found if wrong] == []


def test_a_wrong_command_would_be_found() -> None:
    text = "```\nmarketlake sql 'select 1' --release r1\nmarketlake nightlly\n```\nor `marketlake ingest x --sauce csv`\n"
    assert [problem(words) for words in commands(text)] == [None, "no command nightlly", "ingest has no option --sauce"]


def test_every_command_shows_an_example() -> None:
    group = typer.main.get_command(app)
    texts = {name: command.help or "" for name, command in group.commands.items()}  # type: ignore[attr-defined]
    assert [name for name, text in texts.items() if f"Example: marketlake {name}" not in text] == []


def test_pictures_are_small_enough_for_a_checkout() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert pictures
    assert [p.name for p in pictures if p.stat().st_size > 300_000] == []
