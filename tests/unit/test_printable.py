"""What is printed is data: nothing in it is obeyed by a terminal, by rich or by Markdown."""

from __future__ import annotations

import json

import pytest
import typer

from pipelines.cli import console
from pipelines.printable import markdown_text, visible, visible_json, visible_line

_HOSTILE = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b2J",
    "a\rb",
    "\u202eltr",
    "\ufeffBOM",
    "x\x00y",
    "half\ud800",
    "line\u2028two",
]


@pytest.mark.parametrize("text", _HOSTILE)
def test_a_character_that_a_terminal_obeys_is_shown_as_its_escape(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert "\\" in shown
    assert visible(shown) == shown
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text
    assert visible_json(json.dumps(text, ensure_ascii=False)).isprintable()


def test_ordinary_text_of_any_script_is_left_alone() -> None:
    for text in ("M&M 12,5 %", "टाटा स्टील", "£ — … 😀", "[red] a_b *c*"):
        assert visible_line(text) == text


def test_tables_lines_and_errors_show_markup_and_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(["[b]symbol[/b]"], [["[red]AAPL"], ["x[/blue]"], ["\x1b[2Jz"], ["two\nlines"]], title="[i]t\x1b[0m")
    console.say("[red] \x1b[31m name\nforged")
    console.say_json({"a": "\x9b2J \u202e"})
    with pytest.raises(typer.Exit):
        console.fail("bad \x1b[31m name")
    console.warn("[/blue] \x07")
    told = capsys.readouterr()
    for text in ("[b]symbol[/b]", "[red]AAPL", "x[/blue]", "\\x1b[2Jz", "two\\nlines", "[i]t\\x1b[0m", "\\x1b[31m name\\nforged"):
        assert text in told.out
    assert "error: bad \\x1b[31m name" in told.err
    assert "warning: [/blue] \\x07" in told.err
    assert not {c for c in told.out + told.err if not c.isprintable()} - {"\n"}


@pytest.mark.parametrize(
    "text",
    [
        "**bold**",
        "![x](http://evil/pixel.png)",
        "[a](javascript:1)",
        "<img src=x onerror=1>",
        "`code`",
        "a|b",
        "~~x~~",
        "www.e.com",
    ],
)
def test_markdown_in_data_is_text(text: str) -> None:
    import re

    shown = markdown_text(text)
    assert re.sub(r"\\(.)", r"\1", shown) == text
    assert not re.search(r"(?<!\\)[*`\[\]<>|~!]", shown)
    assert "http://" not in shown
    assert "www." not in shown


def test_a_preview_shows_symbols_as_they_are() -> None:
    import polars as pl

    from pipelines.orchestration.metadata import preview

    shown = preview(pl.DataFrame({"symbol": ["![x](http://e/p.png)", "M&M"], "close": [1.5, 2.0]})).value
    assert shown.splitlines()[2:] == [r"| \!\[x\](http\://e/p.png) | 1.5 |", r"| M\&M | 2 |"]
