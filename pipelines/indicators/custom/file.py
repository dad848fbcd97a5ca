"""The file of chosen indicators: YAML, named by MARKETLAKE_INDICATORS.

    indicators:
      - name: rsi
        window: 7
      - name: bollinger
        window: 50
        deviations: 2.5

Lives here: reading it, and saying in which line it is wrong.
Does not live here: what can be chosen (`families`), adding it to the tables (`pipelines.indicators.registry`).
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.indicators.custom.families import FAMILIES
from pipelines.indicators.model import Indicator
from pipelines.user_files import UserFileError, construct, read_nodes, shown

if TYPE_CHECKING:
    from yaml.nodes import MappingNode, Node


class IndicatorFileError(ValueError):
    """The file of chosen indicators cannot be used; the message says which line and what to do."""


def read_indicators(path: Path) -> tuple[tuple[str, Indicator], ...]:
    """The chosen indicators in the file's order, each with its place as `file:line`.

    Raises IndicatorFileError for a file that cannot be read or parsed, an unknown indicator, or a parameter out of bounds.
    """
    try:
        return tuple(_indicator(path, item) for item in _items(path, read_nodes(path, "MARKETLAKE_INDICATORS")))
    except UserFileError as error:
        raise IndicatorFileError(str(error)) from error


def _items(path: Path, root: Node | None) -> list[MappingNode]:
    import yaml

    layout = "write `indicators:` and below it a list of `- name: …` with parameters"
    if root is None:
        raise IndicatorFileError(f"{path}:1: the file is empty; {layout}, or unset MARKETLAKE_INDICATORS")
    if not isinstance(root, yaml.MappingNode) or [key.value for key, _ in root.value] != ["indicators"]:
        raise IndicatorFileError(f"{path}:{_line(root)}: {layout}")
    listed = root.value[0][1]
    if not isinstance(listed, yaml.SequenceNode):
        raise IndicatorFileError(f"{path}:{_line(listed)}: {layout}")
    for item in listed.value:
        if not isinstance(item, yaml.MappingNode):
            raise IndicatorFileError(f"{path}:{_line(item)}: an indicator is `- name: rsi` and below it `window: 7`")
    return list(listed.value)


def _indicator(path: Path, item: MappingNode) -> tuple[str, Indicator]:
    place = f"{path}:{_line(item)}"
    names = [key.value for key, _ in item.value]
    for name in names:
        if names.count(name) > 1:
            raise IndicatorFileError(f"{place}: {shown(name)[1:-1]} is given twice")
    given = construct(path, item)
    kind = given.pop("name", None)
    if kind is None:
        raise IndicatorFileError(f"{place}: an indicator without a name; add `name: rsi`, for example")
    if not isinstance(kind, str) or kind not in FAMILIES:
        near = get_close_matches(str(kind).lower(), FAMILIES, 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise IndicatorFileError(f"{place}: no indicator {shown(kind)}{hint} (known are {', '.join(FAMILIES)})")
    try:
        return place, FAMILIES[kind].indicator(given)
    except ValueError as error:
        raise IndicatorFileError(f"{place}: {error}") from error


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
