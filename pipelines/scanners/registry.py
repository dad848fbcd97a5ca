"""The scanners there are, read from dbt's manifest.

Lives here: `Scanner` and its parameters as the models' yml declares them, and the compiled texts a run needs, in order.
Does not live here: running them (`runner.py`), compiling (`project.py`).

A package may bring scanners of its own: an entry point of the group `marketlake.scanners` names a function that returns the path
of another compiled dbt manifest, whose scanners read the same relations of schema `scan`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

ENTRY_POINT_GROUP = "marketlake.scanners"


class UnknownScannerError(ValueError):
    """No scanner, or no parameter of it, has this name; the message lists the known ones."""


class ManifestError(ValueError):
    """The manifest cannot be used: absent, not compiled, or a scanner's declaration is incomplete."""


@dataclass(frozen=True)
class Parameter:
    """One number of a scanner's rule: default, allowed range (both included), unit and meaning."""

    name: str
    default: float
    low: float
    high: float
    unit: str
    meaning: str


@dataclass(frozen=True)
class Scanner:
    """A scanner as declared in its yml.

    evaluates: what its rule is about (`forming_daily`: the day's bar so far). moments: when it may run (`close`, `HH:MM`,
    `every_bar`). relation: where its rows stand, as schema.name.
    """

    name: str
    version: int
    evaluates: str
    moments: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    description: str
    relation: str

    def values(self, overrides: Mapping[str, float] | None = None) -> dict[str, float]:
        """The parameters by name, defaults where not overridden. UnknownScannerError for another name, ValueError out of range."""
        known = {p.name: p for p in self.parameters}
        values = {p.name: p.default for p in self.parameters}
        for name, value in (overrides or {}).items():
            if name not in known:
                raise UnknownScannerError(f"{self.name} has no parameter {name!r}; it has {', '.join(known) or 'none'}")
            if not known[name].low <= value <= known[name].high:
                raise ValueError(f"{self.name}: {name} = {value} lies outside {known[name].low} … {known[name].high}")
            values[name] = float(value)
        return values


@dataclass(frozen=True)
class CompiledModel:
    """One SQL model: its relation (schema.name), text, and the models it reads (schema `lake` is always there)."""

    relation: str
    materialized: str
    sql: str
    reads: frozenset[str]


@dataclass(frozen=True)
class CompiledScanners:
    """The scanners of a manifest and the compiled models they stand on."""

    scanners: Mapping[str, Scanner]
    models: Mapping[str, CompiledModel]

    def scanner(self, name: str) -> Scanner:
        """The scanner called `name`; UnknownScannerError with the nearest spelling when there is none."""
        if name in self.scanners:
            return self.scanners[name]
        close = difflib.get_close_matches(name, list(self.scanners), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
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


def load_scanners(manifest: Path) -> CompiledScanners:
    """Read a compiled manifest (`dbt compile` or `dbt build`). Raises ManifestError saying what to do when it is of no use."""
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(
            f"{manifest} does not exist; compile the dbt project first (scanners.project.compile_project)"
        ) from None
    models_of = {key: node for key, node in content["nodes"].items() if node["resource_type"] == "model"}
    relations = {key: f"{node['schema']}.{node['alias']}" for key, node in models_of.items()}
    models = {}
    scanners = {}
    for key, node in models_of.items():
        if node["language"] == "sql":
            models[relations[key]] = _model(node, relations, manifest)
        if "scanners" in node["fqn"][1:-1]:
            scanners[node["name"]] = _scanner(node, relations[key])
    return CompiledScanners(dict(sorted(scanners.items())), models)


def plugin_manifests() -> list[Path]:
    """Manifests that other packages bring, in the order of their entry points' names."""
    return [Path(entry.load()()) for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name)]


def _model(node: Mapping[str, Any], relations: Mapping[str, str], manifest: Path) -> CompiledModel:
    sql = node.get("compiled_code")
    if not sql:
        raise ManifestError(f"{manifest}: model {node['name']} is parsed but not compiled; run dbt compile or dbt build")
    reads = frozenset(relations[key] for key in node["depends_on"]["nodes"] if key in relations)
    return CompiledModel(f"{node['schema']}.{node['alias']}", node["config"]["materialized"], sql, reads)


def _scanner(node: Mapping[str, Any], relation: str) -> Scanner:
    meta = node["config"]["meta"].get("scanner", {})
    missing = {"version", "evaluates", "moments", "parameters"} - set(meta)
    if missing:
        raise ManifestError(f"scanner {node['name']}: config.meta.scanner lacks {', '.join(sorted(missing))}; add it to its yml")
    parameters = []
    for name, about in meta["parameters"].items():
        low, high = about["range"]
        parameters.append(Parameter(name, float(about["default"]), float(low), float(high), about["unit"], about["meaning"]))
    return Scanner(
        name=node["name"],
        version=int(meta["version"]),
        evaluates=meta["evaluates"],
        moments=tuple(meta["moments"]),
        parameters=tuple(parameters),
        description=node["description"],
        relation=relation,
    )
