"""How much of the package the tests reach: the total, the functions below the goal by name, and whether the floor holds.

Lives here: reading the report of `coverage json`, and the command line that fails below the floor.
Does not live here: what is measured (`tool.coverage` in pyproject.toml) and when (`make coverage`).

    python -m tests.support.coverage_floor coverage.json --floor 90 --goal 92
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reached:
    """A function, or the whole package: how many of its statements and branches were reached, of how many."""

    name: str
    reached: int
    there: int

    @property
    def percent(self) -> float:
        """100 for what has neither statement nor branch."""
        return 100.0 * self.reached / self.there if self.there else 100.0

    def describe(self) -> str:
        """Share, what is missing, name."""
        return f"{self.percent:5.1f} %  {self.there - self.reached:4d} of {self.there:4d} missing  {self.name}"


def total(report: dict[str, Any]) -> Reached:
    """The package. Raises ValueError for a report without branches."""
    if not report["meta"]["branch_coverage"]:
        raise ValueError("the report counts no branches: measure with `branch = true`")
    return _reached("pipelines", report["totals"])


def functions_below(report: dict[str, Any], floor: float) -> list[Reached]:
    """Functions of which less than `floor` percent is reached, those that miss most first."""
    found = [
        _reached(f"{path}:{name}", function["summary"])
        for path, file in report["files"].items()
        for name, function in file["functions"].items()
        if name
    ]
    below = [function for function in found if function.percent < floor]
    return sorted(below, key=lambda function: (function.reached - function.there, function.name))


def _reached(name: str, summary: dict[str, Any]) -> Reached:
    return Reached(
        name,
        summary["covered_lines"] + summary["covered_branches"],
        summary["num_statements"] + summary["num_branches"],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the functions below the goal and the total; 1 when the total is below the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="what `coverage json` wrote")
    parser.add_argument("--floor", type=float, required=True, help="percent of statements and branches")
    parser.add_argument("--goal", type=float, help="percent that every function should have; by default the floor")
    given = parser.parse_args(arguments)
    goal = given.floor if given.goal is None else given.goal
    report = json.loads(given.report.read_text(encoding="utf-8"))
    whole, below = total(report), functions_below(report, goal)
    for function in below:
        print(function.describe())
    print(f"{len(below)} functions below {goal:g} %")
    print(f"{whole.percent:.2f} % of {whole.there} statements and branches reached; the floor is {given.floor:g} %")
    return 1 if whole.percent < given.floor else 0


if __name__ == "__main__":
    raise SystemExit(main())
