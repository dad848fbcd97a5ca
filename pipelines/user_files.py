"""Reading the files that people write by hand: every mistake has its line, and nothing in a file does harm.

Lives here: text of bounded size, and YAML as plain data: what the files of rules, indicators and universes share.
Does not live here: what may stand in a file (`scanners/rules/file.py`, `indicators/custom/file.py`, `scanners/universes.py`).

YAML is plain data: no tags, no anchors, no dates, no key twice, no number that is not finite, no control characters.
"""

from __future__ import annotations

import reprlib
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.printable import visible_line

if TYPE_CHECKING:
    from yaml.nodes import Node

#: Greater than any file that a person writes.
MOST_BYTES: Final = 1 << 20
_DEEPEST: Final = 20
#: Beyond this, whole numbers are no longer exact as the floats that they become.
_GREATEST: Final = 1e15
_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))


class UserFileError(ValueError):
    """A file cannot be used; the message says file, line and what to do, in one line."""


def read_text_file(path: Path, setting: str, most_bytes: int = MOST_BYTES, *, pipes: bool = False) -> str:
    """The text of a file that `setting` names: a regular one, or with `pipes` what another command writes.

    Raises UserFileError for anything else, and for more than `most_bytes` or what is no UTF-8.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not (pipes and stat.S_ISFIFO(kind)):
            raise UserFileError(f"{setting}: {path} is no regular file")
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        if isinstance(error, UserFileError):
            raise
        raise UserFileError(f"{setting}: cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > most_bytes:
        raise UserFileError(f"{setting}: {path} has more than {most_bytes:,} bytes; split or shorten it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserFileError(f"{path}:{line}: {path} is not UTF-8 text; save it as UTF-8") from error


def read_nodes(path: Path, setting: str) -> Node | None:
    """The tree of a file's nodes; None for an empty file. Raises UserFileError."""
    import yaml  # comes with dbt; slow to import where there is no file

    text = read_text_file(path, setting)
    try:
        _refuse_depth_and_anchors(path, text)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserFileError(f"{path}:{mark.line + 1 if mark else 1}: not YAML: {visible_line(str(error.problem))}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserFileError(f"{path}:{line}: not YAML: holds the character U+{error.character:04X}; remove it") from error


def construct(path: Path, node: Node) -> Any:
    """What a node says, as strings, numbers, booleans, None, lists and dicts with texts as keys. Raises UserFileError."""
    import yaml

    place = f"{path}:{node.start_mark.line + 1}"
    if node.tag not in _TAGS:
        kind = "a date; put it in quotes" if node.tag.endswith(":timestamp") else f"of the kind {visible_line(node.tag)!r}"
        raise UserFileError(f"{place}: {shown(node.value)} is {kind}, which has no meaning here")
    if isinstance(node, yaml.SequenceNode):
        return [construct(path, item) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(place, node)
    content: dict[str, Any] = {}
    for key, value in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise UserFileError(f"{where}: a list or mapping cannot be a name")
        if key.value in content:
            raise UserFileError(f"{where}: {shown(key.value)} is given twice")
        content[key.value] = construct(path, value)
    return content


def shown(value: object) -> str:
    """A value of a file as a message shows it: cut, in one line, without commands to a terminal."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 80
    return visible_line(short.repr(value))


def _scalar(place: str, node: Node) -> Any:
    import yaml

    try:
        value = yaml.SafeLoader("").construct_document(node)
    except (ValueError, OverflowError, yaml.MarkedYAMLError) as error:
        raise UserFileError(
            f"{place}: {shown(node.value)} cannot be read ({visible_line(str(error)).splitlines()[0][:100]})"
        ) from error
    if isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) <= _GREATEST:
        raise UserFileError(f"{place}: {shown(node.value)} is no number up to {_GREATEST:g}")
    if isinstance(value, str) and (at := next((c for c in value if ord(c) < 0x20 and c not in "\n\t"), None)) is not None:
        raise UserFileError(f"{place}: {shown(value)} holds the control character U+{ord(at):04X}; remove it")
    return value


def _refuse_depth_and_anchors(path: Path, text: str) -> None:
    """Before anything recursive sees the file: how deep it goes, and that nothing in it stands for something else."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = f"{path}:{event.start_mark.line + 1}"
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise UserFileError(f"{line}: more than {_DEEPEST} levels; nothing here is nested so deep")
        if getattr(event, "anchor", None):
            raise UserFileError(
                f"{line}: anchors and aliases (&{shown(event.anchor)[1:-1]}) have no meaning here; write the value out"
            )
