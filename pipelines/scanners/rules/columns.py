"""The names that a rule may use: bars, usual volume and range, indicators.

Lives here: `RuleColumn` and `rule_columns`.
Does not live here: SQL (`model`), a rule's own parameters (`file`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pipelines.indicators.registry import Registry

BARS = {
    "open": "First price of the session.",
    "high": "Highest price of the session so far.",
    "low": "Lowest price of the session so far.",
    "close": "Last price.",
    "volume": "Units traded in the session so far.",
}
USUAL = {
    "relative_volume": "volume over mean_volume.",
    "mean_volume": "Mean volume of the 20 regular sessions before; for an intraday rule up to the same minute.",
    "median_volume": "Median of the same.",
    "mean_range": "Mean of high minus low of the 20 regular sessions before; for an intraday rule up to the same minute.",
}


@dataclass(frozen=True)
class RuleColumn:
    """A name: where it comes from (bar, usual or indicator), its unit, and over how many sessions before it reaches."""

    name: str
    origin: str
    unit: str
    sessions: int
    description: str


@lru_cache(maxsize=16)
def rule_columns(registry: Registry) -> Mapping[str, RuleColumn]:
    """Every name that rules of a home with these indicators may use."""
    found = {name: RuleColumn(name, "bar", "price", 0, text) for name, text in BARS.items()}
    found |= {name: RuleColumn(name, "usual", "volume", 20, text) for name, text in USUAL.items()}
    for indicator in registry:
        for output in indicator.outputs:
            window = re.search(r"_(\d+)$", output.name)
            reach = int(window[1]) if window else max(indicator.lookback, indicator.warm_up)
            found[output.name] = RuleColumn(output.name, "indicator", output.unit, reach, output.description)
    return found
