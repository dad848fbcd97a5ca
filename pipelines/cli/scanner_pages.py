"""What people read about scanners: `marketlake scanners` and `marketlake scanners describe NAME`.

Lives here: rows and descriptions, from the yml of the project that this installation runs.
Does not live here: what a scanner is (`scanners/registry.py`), printing tables (`console.py`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pipelines.scanners.project import HomeProject
from pipelines.scanners.registry import Parameter, Scanner, UnknownScannerError

COLUMNS = ("name", "family", "version", "evaluates", "moments", "parameters", "origin")
BUILT_IN = "built-in"


def scanner_rows(project: HomeProject) -> list[dict[str, Any]]:
    """One row per scanner: name, family, version, evaluates, moments, parameters (with range and meaning), universe, origin.

    Raises RuleFileError, UniverseError.
    """
    origins = project.additions().origins
    return [_content(scanner, origins) for scanner in project.declared_scanners().values()]


def describe(name: str, project: HomeProject) -> dict[str, Any]:
    """Everything about one scanner. Raises UnknownScannerError with the nearest spelling."""
    known = project.declared_scanners()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), list(known), 1, 0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownScannerError(f"no scanner {name!r}; {hint}`marketlake scanners` lists them")
    return {**_content(known[name], project.additions().origins), "rule": known[name].rule, "description": known[name].description}


def bounds(parameter: Mapping[str, Any]) -> str:
    """A parameter in short: default and what is allowed."""
    if "choices" in parameter:
        return f"{parameter['default']} ({' or '.join(parameter['choices'])})"
    low, high = parameter["range"]
    return f"{parameter['default']:g} ({low:g} … {high:g} {parameter['unit']})"


def _content(scanner: Scanner, origins: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": scanner.name,
        "family": scanner.family,
        "version": scanner.version,
        "evaluates": scanner.evaluates,
        "moments": list(scanner.moments),
        "live_moments": list(scanner.live_moments),
        "universe": scanner.universe,
        "min_coverage_pct": scanner.min_coverage_pct,
        "parameters": {p.name: _about(p) for p in scanner.parameters},
        "origin": origins.get(scanner.name, BUILT_IN),
    }


def _about(parameter: Parameter) -> dict[str, Any]:
    if parameter.choices:
        return {"default": parameter.default, "choices": list(parameter.choices), "meaning": parameter.meaning}
    limits = [parameter.low, parameter.high]
    return {"default": parameter.default, "range": limits, "unit": parameter.unit, "meaning": parameter.meaning}
