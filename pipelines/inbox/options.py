"""How the files of an inbox folder are read: `options.yaml` in that folder or in one above it.

Lives here: the file of options, validated with the line of every mistake, and which one stands for a file.
Does not live here: what a source makes of its options (`sources/`), the same options of the command (`cli/ingest.py`).

```yaml
timezone: America/New_York    # of times written without one
symbol: RELIANCE              # of files with one instrument
session: "2024-01-05"         # date of rows that carry only times
option:                       # the source's own
  interval: 1m
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from pipelines.ingest.arrivals import Reading
from pipelines.sources.names import SourceOptionError, check_source, zone_fault
from pipelines.user_files import UserFileError, construct, read_nodes, shown

if TYPE_CHECKING:
    from yaml.nodes import MappingNode, Node

#: The file's name; no source reads files of that name.
OPTIONS_FILE: Final = "options.yaml"
_KEYS: Final = ("timezone", "symbol", "session", "option")


def is_options_file(name: str) -> bool:
    """Whether a file of a source's folder is one of options, by its name relative to that folder."""
    return PurePosixPath(name).name == OPTIONS_FILE


def governing(name: str, options_files: Iterable[str]) -> str | None:
    """The options file that stands for a file: that of its folder, else of the nearest folder above. Names as in `InboxFile`."""
    known = set(options_files)
    candidates = (str(folder / OPTIONS_FILE) for folder in PurePosixPath(name).parents)
    return next((candidate for candidate in candidates if candidate in known), None)


def read_options(path: Path, source: str) -> dict[str, Any]:
    """What an options file says, as types of JSON: `timezone`, `symbol`, `session`, and `option` with the source's own as texts.

    Raises UserFileError for anything that the command would not accept, with its line.
    """
    import yaml  # comes with dbt; slow to import where there is no file

    root = read_nodes(path, "options of an inbox folder")
    if root is None:
        return {}
    content = construct(path, root)
    if not isinstance(root, yaml.MappingNode):
        raise UserFileError(f"{path}:{root.start_mark.line + 1}: is no mapping; write lines such as `symbol: RELIANCE`")
    read: dict[str, Any] = {}
    for place, key, value in _entries(path, root):
        if key not in _KEYS:
            raise UserFileError(f"{place}: unknown key {shown(key)}; known are {', '.join(_KEYS)}")
        read[key] = _own_options(path, value, source) if key == "option" else _text(place, key, content[key])
        if problem := _problem(key, read[key]):
            raise UserFileError(f"{place}: {key}: {problem}")
    return read


def reading_of(options: Mapping[str, Any]) -> Reading:
    """What `read_options` gave, as `arrivals.collect` takes it."""
    session = options.get("session")
    return Reading(
        timezone=options.get("timezone"),
        symbol=options.get("symbol"),
        session=date.fromisoformat(session) if session else None,
        extra=options.get("option"),
    )


def _own_options(path: Path, node: Node, source: str) -> dict[str, str]:
    import yaml

    place = f"{path}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        raise UserFileError(f"{place}: option is no mapping; write lines such as `interval: 1m` below it")
    own = {}
    for where, name, value in _entries(path, node):
        if not isinstance(value, yaml.ScalarNode) or not value.value:
            raise UserFileError(f"{where}: {shown(name)} needs one value")
        try:
            check_source(source, {name: value.value})
        except SourceOptionError as error:
            raise UserFileError(f"{where}: {error}") from error
        own[name] = value.value
    return own


def _entries(path: Path, node: MappingNode) -> list[tuple[str, str, Node]]:
    """Place, key and value of each entry; keys are texts, as `construct` has seen."""
    return [(f"{path}:{key.start_mark.line + 1}", key.value, value) for key, value in node.value]


def _text(place: str, key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserFileError(f"{place}: {key} is {shown(value)}; write a text, in quotes where it looks like a number")
    return value


def _problem(key: str, value: object) -> str | None:
    if key == "timezone":
        return zone_fault(str(value))
    if key == "session":
        try:
            date.fromisoformat(str(value))
        except ValueError:
            return f"{shown(value)} is no date; write it as YYYY-MM-DD"
    return None
