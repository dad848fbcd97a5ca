"""Text of others, made safe to show: what a terminal or a page of Markdown would obey is written out instead.

Lives here: escapes for terminals, for JSON shown on terminals, and for Markdown.
Does not live here: where texts are shown (`cli/console.py`, `orchestration/metadata.py`).
"""

from __future__ import annotations

import re
from typing import Final

#: Control characters (C0 but tab and line end, DEL, C1), marks that change the direction of what follows, separators of lines that
#: are none, the byte order mark, and halves of surrogate pairs, which cannot be printed at all.
_COMMANDS: Final = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_OBEYED: Final = re.compile(f"[{_COMMANDS}]")
#: Characters that Markdown gives a meaning inside a line.
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>|~#!$@&])")
_LINK: Final = re.compile(r"(?i)(?<=http)(s?):(?=//)|\bwww\.")


def visible(text: str) -> str:
    """`text` with every character that a terminal would obey as its escape: ESC becomes \\x1b. Tabs and line ends stay."""
    return _OBEYED.sub(lambda found: _escape(found[0]), text)


def visible_line(text: str) -> str:
    """`visible` text as one line: line ends and tabs are escapes too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def visible_json(text: str) -> str:
    """A JSON document without characters that a terminal obeys; it means the same."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def markdown_text(text: str) -> str:
    """`text` as Markdown that shows it as it is, in one line: no emphasis, link, image, HTML or table cell comes of it."""
    plain = _MARKDOWN.sub(r"\\\1", visible_line(text))
    return _LINK.sub(lambda found: f"{found[1]}\\:" if found[1] is not None else "www\\.", plain)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
