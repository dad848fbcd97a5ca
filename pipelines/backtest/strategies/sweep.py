"""Sweeps of a strategy: every combination of some keys' values, traded on the same bars.

Lives here: the file of a sweep, and `sweep_strategy`.
Does not live here: the pass over the cases and its table (`backtest/sweep.py`), what may stand in a strategy (`file`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.rules import FillRules
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.strategies.reading import StrategyFileError
from pipelines.backtest.strategies.run import attributes_of, costs_of, see
from pipelines.backtest.sweep import Case, CaseResult, run_cases
from pipelines.backtest.update import BacktestInputs, with_missing
from pipelines.scanners.universes import Universes
from pipelines.user_files import construct, read_nodes, shown

#: More is a slip of the pen, or a search that no deflation can make good.
MOST_CASES = 10_000
#: What the cases of a sweep share: they are laid out once.
_SHARED = ("strategy", "scanners", "exchange", "universe", "dates", "costs")


def read_sweep(path: Path) -> list[dict[str, Any]]:
    """Every combination of a sweep file, as values by dotted key: a mapping from keys of a strategy file to lists of values.

    Raises StrategyFileError naming file and line.
    """
    node = read_nodes(path, "sweep")
    content = None if node is None else construct(path, node)
    if node is None or not isinstance(content, dict) or not content:
        raise StrategyFileError(f"{path}:1: a sweep is a mapping from keys to lists, such as `exits.stop_loss: [0.05, 0.1]`")
    for name, _ in node.value:
        place, values = f"{path}:{name.start_mark.line + 1}: {shown(name.value)[1:-1]}", content[name.value]
        if name.value.split(".")[0] in _SHARED:
            raise StrategyFileError(f"{place}: all cases of a sweep share {', '.join(_SHARED)}")
        if not isinstance(values, list) or not values:
            raise StrategyFileError(f"{place} is {shown(values)}; write a list of values")
    count = math.prod(len(values) for values in content.values())
    if count > MOST_CASES:
        raise StrategyFileError(f"{path}:1: {count:,} combinations; at most {MOST_CASES:,}")
    return [dict(zip(content, values, strict=True)) for values in product(*content.values())]


def sweep_strategy(
    exchange: str,
    cases: Sequence[tuple[Mapping[str, Any], StrategyFile]],
    inputs: BacktestInputs,
    universes: Universes,
    *,
    costs: CostSettings,
    fills: FillRules,
) -> list[CaseResult] | None:
    """The cases in the order given; see `sweep.judge_cases`. None where the universe has no bar between the dates.

    cases: the changed values, and the strategy with them. The rest as for `run.run_strategy`, which raises the same.
    """
    first = cases[0][1]
    seen = see(exchange, first, inputs, universes)
    if seen.bars.is_empty():
        return None
    rules = [strategy.rules(fills) for _, strategy in cases]
    limited = next((strategy for _, strategy in cases if strategy.limits.sector is not None), first)
    return run_cases(
        seen.bars,
        [
            Case(changes, seen.signals, of_case, strategy.order_plan())
            for (changes, strategy), of_case in zip(cases, rules, strict=True)
        ],
        costs_of(exchange, first, seen, costs),
        with_missing(seen, rules[0]),
        seen.sessions,
        attributes=attributes_of(limited, inputs.instruments),
    )
