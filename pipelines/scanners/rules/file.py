"""The file of rule scanners: YAML, named by MARKETLAKE_SCANNERS.

    scanners:
      oversold_in_uptrend:
        when: rsi_14 < threshold and close > sma_200 and relative_volume > 2
        side: BUY
        stop_atr: 2
        target_atr: 4
        parameters:
          threshold: {default: 30, range: [0, 50], unit: points, meaning: RSI below which it counts as oversold.}

Lives here: reading it, and saying in which line, rule and position it is wrong.
Does not live here: the grammar (`expression`), the model made of a rule (`model`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.printable import visible_line
from pipelines.scanners.registry import EVALUATES, MOMENT
from pipelines.scanners.rules.columns import RuleColumn
from pipelines.scanners.rules.expression import ExpressionError, is_condition, names, parse
from pipelines.scanners.rules.expression import Node as Tree
from pipelines.user_files import UserFileError, construct, read_nodes, shown

if TYPE_CHECKING:
    from yaml.nodes import Node

_FIELDS = {
    "when": str,
    "side": str,
    "score": (str, int, float),
    "stop_atr": (int, float),
    "target_atr": (int, float),
    "evaluates": str,
    "moments": list,
    "live_moments": list,
    "universe": str,
    "min_coverage_pct": (int, float),
    "parameters": dict,
    "description": str,
}
_NAME = re.compile(r"[a-z][a-z0-9_]{2,59}")
#: What a rule looks at when it does not say, and how far its own words may reach back.
_MOMENTS = {"closed_daily": ["close"], "forming_daily": ["close"], "intraday": ["every_bar"]}
FARTHEST = 60
#: Columns that a rule's model has besides what the rule reads.
_KEYS = {"as_of_ts", "exchange", "session_date", "instrument_id", "symbol", "known_at"}
_OWN = _KEYS | {"stop_atr", "target_atr", "last_price", "is_met", "side", "score", "entry_price", "target_price", "stop_loss"}


class RuleFileError(ValueError):
    """The file of rule scanners cannot be used; the message says file, line, rule and what to do."""


@dataclass(frozen=True)
class Rule:
    """One rule as written. `parameters`: name to default, range, unit and meaning; stop_atr and target_atr are among them."""

    name: str
    when: str
    side: str
    score: str
    evaluates: str
    moments: tuple[str, ...]
    live_moments: tuple[str, ...]
    universe: str
    min_coverage_pct: float
    parameters: Mapping[str, Mapping[str, Any]]
    description: str

    @property
    def version(self) -> int:
        """A number made of what decides: a changed rule gives signals new ids. Values of parameters are part of an id anyway."""
        decides = asdict(self)
        for words in ("description", "universe", "min_coverage_pct", "moments", "live_moments", "parameters"):
            del decides[words]
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        return int(digest[:7], 16)

    @property
    def condition(self) -> Tree:
        """The tree of `when`."""
        return parse(self.when)

    @property
    def rank(self) -> Tree:
        """The tree of `score`."""
        return parse(self.score)


def read_rules(path: Path, columns: Mapping[str, RuleColumn], taken: Collection[str] = ()) -> tuple[Rule, ...]:
    """The rules in the file's order. `columns`: the names that they may use; `taken`: names of other models.

    Raises RuleFileError for a file that cannot be read or parsed, an unknown column or field, a wrong expression or a taken name.
    """
    try:
        return _rules(path, read_nodes(path, "MARKETLAKE_SCANNERS"), columns, taken)
    except UserFileError as error:
        raise RuleFileError(str(error)) from error


def _rules(path: Path, root: Node | None, columns: Mapping[str, RuleColumn], taken: Collection[str]) -> tuple[Rule, ...]:
    import yaml  # comes with dbt; slow to import where there is no file

    layout = "write `scanners:` and below it, for each, its name and `when: …`, `side: BUY`"
    if root is None:
        raise RuleFileError(f"{path}:1: the file is empty; {layout}, or unset MARKETLAKE_SCANNERS")
    if not isinstance(root, yaml.MappingNode) or [key.value for key, _ in root.value] != ["scanners"]:
        raise RuleFileError(f"{path}:{root.start_mark.line + 1}: {layout}")
    listed = root.value[0][1]
    if not isinstance(listed, yaml.MappingNode):
        raise RuleFileError(f"{path}:{listed.start_mark.line + 1}: {layout}")
    found: dict[str, Rule] = {}
    for key, node in listed.value:
        if not isinstance(key, yaml.ScalarNode):
            raise RuleFileError(f"{path}:{key.start_mark.line + 1}: a list or mapping cannot be the name of a rule")
        place = f"{path}:{key.start_mark.line + 1}: {shown(key.value)[1:-1]}"
        if not isinstance(node, yaml.MappingNode):
            raise RuleFileError(f"{place}: a rule needs at least `when: …` and `side: BUY`")
        written = [field.value for field, _ in node.value]
        if twice := [field for field in written if written.count(field) > 1]:
            raise RuleFileError(f"{place}: {shown(twice[0])[1:-1]} is given twice")
        if key.value in found or key.value in taken:
            what = "rule" if key.value in found else "model"
            raise RuleFileError(f"{place}: another {what} has this name; choose another")
        found[key.value] = _rule(place, key.value, construct(path, node), columns)
    return tuple(found.values())


def _rule(place: str, name: str, given: Mapping[str, Any], columns: Mapping[str, RuleColumn]) -> Rule:
    if not _NAME.fullmatch(name) or name in _reserved():
        raise RuleFileError(f"{place}: a name has small letters, digits and _, three to sixty, a letter first; no word of SQL")
    for field, value in given.items():
        if field not in _FIELDS:
            raise RuleFileError(f"{place}: no field {shown(field)}{_hint(str(field), _FIELDS)} (fields are {', '.join(_FIELDS)})")
        if isinstance(value, bool) or not isinstance(value, _FIELDS[field]):  # type: ignore[arg-type]
            raise RuleFileError(f"{place}: {field} cannot be {shown(value)}")
    for field in ("when", "side"):
        if field not in given:
            raise RuleFileError(f"{place}: {field} is missing")
    if given["side"] not in ("BUY", "SELL"):
        raise RuleFileError(f"{place}: side is {shown(given['side'])}; write BUY or SELL")
    evaluates = given.get("evaluates", "closed_daily")
    if evaluates not in EVALUATES:
        raise RuleFileError(f"{place}: evaluates is {shown(evaluates)}; write one of {', '.join(EVALUATES)}")
    if not 0 <= given.get("min_coverage_pct", 50) <= 100:
        raise RuleFileError(f"{place}: min_coverage_pct lies outside 0 … 100")
    parameters = _parameters(place, given, columns)
    rule = Rule(
        name=name,
        when=" ".join(given["when"].split()),
        side=given["side"],
        score=" ".join(str(given.get("score", "0.5")).split()),
        evaluates=evaluates,
        moments=_moments(place, "moments", evaluates, given.get("moments", _MOMENTS[evaluates])),
        live_moments=_moments(place, "live_moments", evaluates, given.get("live_moments", [])),
        universe=given.get("universe", "all"),
        min_coverage_pct=float(given.get("min_coverage_pct", 50)),
        parameters=parameters,
        description=" ".join(given.get("description", "").split()),
    )
    for field, text, condition in (("when", rule.when, True), ("score", rule.score, False)):
        try:
            node = parse(text)
            _check(node, parameters, columns)
            if is_condition(node) != condition:
                kind = "a condition, such as close > sma_200" if condition else "a number"
                raise ExpressionError(f"it must be {kind}", 1)
        except ExpressionError as error:
            raise RuleFileError(
                f"{place}: {field}: at position {error.position} of {shown(text)}: {visible_line(str(error))}"
            ) from error
    return rule


def _check(node: Tree, parameters: Mapping[str, Any], columns: Mapping[str, RuleColumn]) -> None:
    """Every name must be known, and known as far back as it is asked for."""
    for name, ago in names(node):
        if name.name in parameters:
            continue
        if name.name not in columns:
            known = [*parameters, *columns]
            raise ExpressionError(f"no column {name.name!r}{_hint(name.name, known)}", name.position)
        if ago and columns[name.name].origin == "usual":
            raise ExpressionError(f"{name.name} is known as of the moment only, not before", name.position)
        if ago > FARTHEST:
            raise ExpressionError(f"{name.name} is asked for {ago} sessions ago; {FARTHEST} is the farthest", name.position)


def _moments(place: str, field: str, evaluates: str, given: list[Any]) -> tuple[str, ...]:
    wrong = [moment for moment in given if not isinstance(moment, str) or not MOMENT.fullmatch(moment)]
    if wrong:
        raise RuleFileError(f'{place}: {field}: {shown(wrong[0])} is neither close, every_bar nor "HH:MM" (in quotes)')
    if evaluates == "closed_daily" and set(given) - {"close"}:
        raise RuleFileError(f"{place}: {field}: a rule on finished sessions (closed_daily) is looked at the close only")
    if field == "moments" and not given:
        raise RuleFileError(f"{place}: moments is empty; name at least one")
    return tuple(given)


def _parameters(place: str, given: Mapping[str, Any], columns: Mapping[str, RuleColumn]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, about in given.get("parameters", {}).items():
        what = f"{place}: parameter {shown(name)[1:-1]}"
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _reserved() or name in {*columns, *_OWN}:
            raise RuleFileError(f"{what}: the name is no word of small letters, or a word of SQL, or it is a column's")
        lacking = [key for key in ("default", "range", "unit", "meaning") if not isinstance(about, dict) or key not in about]
        if lacking:
            example = "{default: 30, range: [0, 100], unit: points, meaning: …}"
            raise RuleFileError(f"{what} lacks {', '.join(lacking)}; write {example}")
        if wordy := [key for key in ("unit", "meaning") if not isinstance(about[key], str | int | float)]:
            raise RuleFileError(f"{what}: {wordy[0]} cannot be {shown(about[wordy[0]])}; write words")
        bounds = about["range"]
        if not isinstance(bounds, list) or len(bounds) != 2 or not all(_is_number(v) for v in [*bounds, about["default"]]):
            raise RuleFileError(f"{what}: default and both ends of range must be numbers")
        if not bounds[0] <= about["default"] <= bounds[1]:
            raise RuleFileError(f"{what}: default {about['default']} lies outside {bounds[0]} … {bounds[1]}")
        found[name] = {
            "default": float(about["default"]),
            "range": [float(bound) for bound in bounds],
            "unit": str(about["unit"]),
            "meaning": str(about["meaning"]),
        }
    for name, default, what in (("stop_atr", 2.0, "stop"), ("target_atr", 3.0, "target")):
        value = float(given.get(name, default))
        if not 0 <= value <= 100:
            raise RuleFileError(f"{place}: {name} lies outside 0 … 100")
        meaning = f"Distance of the {what} from the entry."
        found[name] = {"default": value, "range": [0.0, 100.0], "unit": "ATR", "meaning": meaning}
    return found


@cache
def _reserved() -> frozenset[str]:
    """Words that cannot be names of columns or tables."""
    import duckdb

    rows = duckdb.execute("select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'").fetchall()
    return frozenset(word for (word,) in rows)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _hint(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name.lower(), list(known), 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""
