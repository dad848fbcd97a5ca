"""The scanners there are, read from dbt's manifest.

Lives here: `Scanner` and its parameters as the models' yml declares them, and the compiled texts a run needs, in order.
Does not live here: running them (`scanners/engine/runner.py`), compiling (`scanners/project.py`).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from pipelines.indicators.registry import Registry, home_registry, installed

#: What a scanner may look at; see `Scanner.evaluates`.
EVALUATES = ("closed_daily", "forming_daily", "intraday")
#: Whose rows a decision may depend on; see `Scanner.scope`.
SCOPES = ("instrument", "universe")
MOMENT = re.compile(r"close|every_bar|([01]\d|2[0-3]):[0-5]\d")


class UnknownScannerError(ValueError):
    """No scanner, or no parameter of it, has this name; the message lists the known ones."""


class UniverseError(ValueError):
    """A list of symbols cannot be used, or no universe has this name; the message says where and what to do."""


class ManifestError(ValueError):
    """The manifest cannot be used: absent, not compiled, or a scanner's declaration is incomplete."""


@dataclass(frozen=True)
class Parameter:
    """One setting of a scanner's rule: a number with its allowed range (both included) and unit, or one of several words."""

    name: str
    default: float | str
    meaning: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    def checked(self, value: object, scanner: str) -> float | str:
        """The value as the scanner takes it; ValueError, naming scanner and parameter, when it is none."""
        if self.choices:
            if value not in self.choices:
                raise ValueError(f"{scanner}: {self.name} = {value} is none of {', '.join(self.choices)}")
            return str(value)
        try:
            number = float(value)  # type: ignore[arg-type]  # whatever float() takes
        except (TypeError, ValueError):
            raise ValueError(f"{scanner}: {self.name} = {value} is no number") from None
        assert self.low is not None
        assert self.high is not None
        if not self.low <= number <= self.high:
            raise ValueError(f"{scanner}: {self.name} = {value} lies outside {self.low} … {self.high}")
        return number


@dataclass(frozen=True)
class Scanner:
    """A scanner as declared in its yml.

    evaluates: `closed_daily` (finished sessions only), `intraday` (minutes that ended by the moment) or `forming_daily` (the
    session so far as a daily bar). moments: when its signals go on record (`close`, `HH:MM` by the exchange's clock,
    `every_bar`). live_moments: when a live scan asks it besides. rule: the rule in words, with {fields} of a signal and its
    details. universe: the instruments it looks at. relation: where its rows stand, as schema.name. holds_beyond: for a scanner of
    events at every bar, the field of a signal or its details that the last price has to stay beyond for the signal to hold. scope:
    whether a decision depends on rows of its own `instrument` alone or of the `universe`, as a ranking does; known_at follows from
    those.
    """

    name: str
    version: int
    family: str
    evaluates: str
    moments: tuple[str, ...]
    live_moments: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    min_coverage_pct: float
    universe: str
    description: str
    rule: str
    relation: str
    holds_beyond: str = ""
    scope: str = SCOPES[0]

    def values(self, overrides: Mapping[str, object] | None = None) -> dict[str, float | str]:
        """The parameters by name, defaults where not overridden. UnknownScannerError for another name, ValueError out of range."""
        known = {p.name: p for p in self.parameters}
        values = {p.name: p.default for p in self.parameters}
        for name, value in (overrides or {}).items():
            if name not in known:
                raise UnknownScannerError(f"{self.name} has no parameter {name!r}; it has {', '.join(known) or 'none'}")
            values[name] = known[name].checked(value, self.name)
        return values


@dataclass(frozen=True)
class CompiledModel:
    """One model: its relation (schema.name), text, and the models it reads (schema `lake` is always there).

    python: name of the scanner where a function decides and there is no SQL.
    """

    relation: str
    materialized: str
    sql: str
    reads: frozenset[str]
    python: str | None = None


@dataclass(frozen=True)
class CompiledScanners:
    """The scanners of a manifest and the compiled models they stand on, with the indicators that these may read."""

    scanners: Mapping[str, Scanner]
    models: Mapping[str, CompiledModel]
    indicators: Registry = field(default_factory=installed)

    def scanner(self, name: str) -> Scanner:
        """The scanner called `name`; UnknownScannerError with the nearest spelling when there is none."""
        if name in self.scanners:
            return self.scanners[name]
        close = difflib.get_close_matches(name, list(self.scanners), n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise UnknownScannerError(f"unknown scanner {name!r}{hint} Known scanners: {', '.join(self.scanners)}")

    def needed(self, relations: list[str], given: frozenset[str]) -> list[CompiledModel]:
        """Everything to run for `relations`, in dependency order, stopping at relations that are `given`."""
        graph: dict[str, set[str]] = {}
        waiting = [r for r in relations if r not in given]
        while waiting:
            relation = waiting.pop()
            if relation in graph:
                continue
            reads = {r for r in self.models[relation].reads if r not in given}
            graph[relation] = reads
            waiting.extend(reads)
        # Sorted, so that the order is the same whatever order the manifest lists its nodes in.
        order = TopologicalSorter({relation: sorted(graph[relation]) for relation in sorted(graph)}).static_order()
        return [self.models[relation] for relation in order]


def load_scanners(manifest: Path, indicators: Path | None = None) -> CompiledScanners:
    """Read a compiled manifest (`dbt compile` or `dbt build`). indicators: the home's file of chosen ones.

    Raises ManifestError saying what to do when it is of no use, IndicatorFileError.
    """
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(
            f"{manifest} does not exist; compile the dbt project first (`pipelines.scanners.project.HomeProject.manifest`)"
        ) from None
    models_of = {key: node for key, node in content["nodes"].items() if node["resource_type"] == "model"}
    relations = {key: f"{node['schema']}.{node['alias']}" for key, node in models_of.items()}
    models = {}
    scanners = {}
    for key, node in models_of.items():
        is_scanner = "scanners" in node["fqn"][1:-1]
        if is_scanner:
            scanners[node["name"]] = read_declaration(node, relations[key])
        if is_scanner or node["language"] == "sql":
            models[relations[key]] = _model(node, relations, manifest)
    return CompiledScanners(dict(sorted(scanners.items())), models, home_registry(indicators))


def _model(node: Mapping[str, Any], relations: Mapping[str, str], manifest: Path) -> CompiledModel:
    reads = frozenset(relations[key] for key in node["depends_on"]["nodes"] if key in relations)
    relation = f"{node['schema']}.{node['alias']}"
    if node["language"] == "python":
        return CompiledModel(relation, "table", "", reads, python=node["name"])
    sql = node.get("compiled_code")
    if not sql:
        raise ManifestError(f"{manifest}: model {node['name']} is parsed but not compiled; run dbt compile or dbt build")
    return CompiledModel(relation, node["config"]["materialized"], sql, reads)


def read_declaration(node: Mapping[str, Any], relation: str) -> Scanner:
    """A scanner from its entry in a yml, or from its node in a manifest. Raises ManifestError saying what it lacks."""
    meta = node["config"]["meta"].get("scanner", {})
    missing = {"version", "family", "evaluates", "moments", "parameters", "rule"} - set(meta)
    if missing:
        raise ManifestError(f"scanner {node['name']}: config.meta.scanner lacks {', '.join(sorted(missing))}; add it to its yml")
    if meta["evaluates"] not in EVALUATES:
        raise ManifestError(f"scanner {node['name']}: evaluates {meta['evaluates']!r} is none of {', '.join(EVALUATES)}")
    if meta.get("scope", SCOPES[0]) not in SCOPES:
        raise ManifestError(f"scanner {node['name']}: scope {meta['scope']!r} is none of {', '.join(SCOPES)}")
    for moment in (*meta["moments"], *meta.get("live_moments", [])):
        if not MOMENT.fullmatch(moment):
            raise ManifestError(f"scanner {node['name']}: moment {moment!r} is neither close, every_bar nor HH:MM")
    return Scanner(
        name=node["name"],
        version=int(meta["version"]),
        family=meta["family"],
        evaluates=meta["evaluates"],
        moments=tuple(meta["moments"]),
        live_moments=tuple(meta.get("live_moments", [])),
        parameters=tuple(_parameter(name, about) for name, about in meta["parameters"].items()),
        min_coverage_pct=float(meta.get("min_coverage_pct", 50)),
        universe=str(meta.get("universe", "all")),
        description=node["description"],
        rule=meta["rule"],
        relation=relation,
        holds_beyond=str(meta.get("holds_beyond", "")),
        scope=str(meta.get("scope", SCOPES[0])),
    )


def _parameter(name: str, about: Mapping[str, Any]) -> Parameter:
    needed = {"default", "meaning"} | ({"choices"} if "choices" in about else {"range", "unit"})
    if lacking := needed - set(about):
        raise ManifestError(f"parameter {name} lacks {', '.join(sorted(lacking))}")
    if "choices" in about:
        return Parameter(name, str(about["default"]), about["meaning"], choices=tuple(about["choices"]))
    low, high = about["range"]
    return Parameter(name, float(about["default"]), about["meaning"], float(low), float(high), about["unit"])
