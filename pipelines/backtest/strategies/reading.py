"""Reading a strategy file: every mistake has its line, and the nearest key that exists.

Lives here: `read_strategy` and the strategy of a scanner alone, with other values for single keys.
Does not live here: what may stand in a file (`file`), YAML as plain data (`user_files`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from pipelines.backtest.strategies.file import StrategyFile
from pipelines.printable import visible_line
from pipelines.user_files import UserFileError, construct, read_nodes, shown

if TYPE_CHECKING:
    from yaml.nodes import Node


_KINDS = ("str", "list[str]", "constrained-str", "constrained-list")


class StrategyFileError(UserFileError):
    """A strategy file, or a value given for one of its keys, cannot be used; the message says where and what to do."""


def read_strategy(path: Path, changes: Mapping[str, Any] | None = None) -> StrategyFile:
    """The strategy of a file. changes: values by dotted key (`exits.stop_loss`) that replace those of the file.

    Raises StrategyFileError naming file, line and key.
    """
    node = read_nodes(path, "strategy")
    content = {} if node is None else construct(path, node)
    if not isinstance(content, dict):
        raise StrategyFileError(f"{path}:1: a strategy file is a mapping that begins with `strategy: NAME`")
    return _validated(content, changes or {}, lambda keys: f"{path}:{_line(node, keys)}")


def strategy_of_scanner(
    scanner: str, cash: float, volume_share: float | None, changes: Mapping[str, Any] | None = None
) -> StrategyFile:
    """A scanner traded by the rules of the nightly backtest. changes: as for `read_strategy`."""
    content = {
        "strategy": "by_nightly_rules",
        "scanners": [scanner],
        "cash": cash,
        "exits": {"max_sessions": 20},
        "fills": {"volume_share": volume_share},
        "limits": {"overdraft": True},
    }
    return _validated(content, changes or {}, lambda _: "--scanner")


def _validated(
    content: Mapping[str, Any], changes: Mapping[str, Any], place_of: Callable[[Sequence[str | int]], str]
) -> StrategyFile:
    try:
        return StrategyFile.model_validate(_with_changes(content, changes))
    except ValidationError as error:
        first = error.errors()[0]
        # pydantic names the kinds of a union among the keys.
        keys = tuple(part for part in first["loc"] if part not in _KINDS)
        changed = ".".join(str(key) for key in keys) in changes
        raise StrategyFileError(f"{'--param' if changed else place_of(keys)}: {_describe(first, keys)}") from error


def _with_changes(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = dict(content)
    for dotted, value in changes.items():
        *sections, key = dotted.split(".")
        inner = result
        for section in sections:
            own = inner.get(section) or {}
            if not isinstance(own, dict):
                raise StrategyFileError(f"--param {dotted}: {section} has no keys of its own")
            inner[section] = dict(own)
            inner = inner[section]
        inner[key] = value
    return result


def _describe(problem: Mapping[str, Any], keys: Sequence[str | int]) -> str:
    name = ".".join(str(key) for key in keys)
    if problem["type"] == "extra_forbidden":
        known = _keys_beside(keys)
        near = get_close_matches(str(keys[-1]), known, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"no key {shown(name)}{hint} (keys are {', '.join(known)})"
    if problem["type"] == "missing":
        return f"{name} is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    value = problem["input"]
    near = get_close_matches(str(value), _choices(problem), 1, 0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return visible_line(f"{name}: {message}" if isinstance(value, dict) else f"{name} is {shown(value)}: {message}{hint}")


def _choices(problem: Mapping[str, Any]) -> list[str]:
    expected = str(problem.get("ctx", {}).get("expected", "")) if problem["type"] == "literal_error" else ""
    return [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]


def _keys_beside(keys: Sequence[str | int]) -> list[str]:
    """Keys of the section in which the last of `keys` stands."""
    model: type[BaseModel] = StrategyFile
    for key in keys[:-1]:
        annotation = model.model_fields[str(key)].annotation
        inner = [part for part in (annotation, *get_args(annotation)) if isinstance(part, type) and issubclass(part, BaseModel)]
        model = inner[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _line(node: Node | None, keys: Sequence[str | int]) -> int:
    """Line of the innermost of `keys` that the file has."""
    import yaml

    line = 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = [(name, value) for name, value in node.value if name.value == key]
            if not found:
                return line
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
    return line
