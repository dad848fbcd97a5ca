"""What people read about indicators: `marketlake indicators`, and docs/indicators.md (`make generate`).

Lives here: rows, descriptions and the page, all from the registry and the families.
Does not live here: what an indicator is (`indicators/`), printing tables (`console.py`).
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pipelines.indicators.builtin import INDICATORS
from pipelines.indicators.custom.families import FAMILIES, Family, Parameter
from pipelines.indicators.model import Indicator
from pipelines.indicators.registry import Registry

COLUMNS = ("name", "columns", "parameters", "warm_up", "range")


class UnknownIndicatorError(ValueError):
    """No indicator, column or family has this name."""


def indicator_rows(registry: Registry) -> list[dict[str, Any]]:
    """One row per registered indicator: name, columns, parameters, warm_up (bars), range (low … high of the values)."""
    return [
        {
            "name": indicator.name,
            "columns": [output.name for output in indicator.outputs],
            "parameters": dict(indicator.parameters),
            "warm_up": indicator.warm_up,
            "range": _range(indicator),
        }
        for indicator in registry
    ]


def describe(name: str, registry: Registry) -> dict[str, Any]:
    """Everything about the indicator called `name`, or that has a column of that name.

    Raises UnknownIndicatorError suggesting the nearest name.
    """
    known = {output.name: indicator for indicator in registry for output in indicator.outputs}
    known |= {indicator.name: indicator for indicator in registry}
    found = known.get(name)
    if found is None and name not in FAMILIES:
        near = get_close_matches(name.lower(), [*known, *FAMILIES], 1, 0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownIndicatorError(f"no indicator {name!r}; {hint}`marketlake indicators` lists them")
    family = FAMILIES.get(name)
    content: dict[str, Any] = {} if found is None else _content(found)
    if family is not None:
        content = {"name": name, **content, "to choose": "; ".join(_bounds(parameter) for parameter in family.parameters)}
    return content


def page() -> str:
    """The text of docs/indicators.md: the built-in indicators and the families, whatever this installation adds."""
    lines = [_HEAD, "## The contract's columns", "", *_contract(), "", "## Parameters of your own", "", _CHOOSING, ""]
    lines += ["| name | parameters | columns |", "|---|---|---|", *(_family_row(family) for family in FAMILIES.values()), "", _END]
    return "\n".join(lines)


def _content(indicator: Indicator) -> dict[str, Any]:
    return {
        "name": indicator.name,
        "formula": indicator.formula,
        "source": indicator.source,
        "inputs": ", ".join(indicator.inputs),
        "parameters": _parameters(indicator),
        "warm-up": f"first value on bar {indicator.warm_up} of the instrument",
        "look-back": f"{indicator.lookback} bars before the bar",
        "state": ", ".join(f"{f.name} [{f.unit}]" for f in indicator.state_fields) or "none",
        "columns": {o.name: f"{o.description} [{o.unit}{_bounded(o.low, o.high)}]" for o in indicator.outputs},
    }


def _contract() -> list[str]:
    lines = []
    for indicator in INDICATORS:
        columns = "; ".join(f"`{o.name}`: {o.description} [{o.unit}{_bounded(o.low, o.high)}]" for o in indicator.outputs)
        state = ", ".join(f"{f.name} [{f.unit}]" for f in indicator.state_fields) or "none"
        lines += [
            f"### {indicator.name}",
            "",
            columns,
            "",
            f"- Formula: {indicator.formula}.",
            f"- Source and convention: {indicator.source}.",
            f"- Inputs: {', '.join(indicator.inputs)}. Parameters: {_parameters(indicator)}.",
            f"- First value on bar {indicator.warm_up}; reads {indicator.lookback} bars back; carries: {state}.",
            "",
        ]
    return lines[:-1]


def _family_row(family: Family) -> str:
    example = {
        p.name: 5 * (i + 1) if p.whole else round(0.02 * 10**i, 3) for i, p in enumerate(family.parameters) if p.default is None
    }
    columns = ", ".join(f"`{output.name}`" for output in family.indicator(example).outputs)
    return f"| `{family.name}` | {'; '.join(_bounds(parameter) for parameter in family.parameters)} | {columns} |"


def _bounds(parameter: Parameter) -> str:
    default = "" if parameter.default is None else f" (default {parameter.default:g})"
    return f"{parameter.name} {parameter.low:g} … {parameter.high:g}{default}"


def _parameters(indicator: Indicator) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in indicator.parameters.items()) or "none"


def _range(indicator: Indicator) -> str:
    found = dict.fromkeys(_bounded(o.low, o.high).removeprefix(", ") for o in indicator.outputs)
    return "; ".join(text for text in found if text)


def _bounded(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f", {'' if low is None else f'{low:g}'} … {'' if high is None else f'{high:g}'}".replace("-", "−")


_HEAD = """<!-- Written by `make generate`; a test says when it is out of date. -->
# Indicators

`indicators_daily` and `indicators_1m` have the same columns, DOUBLE and FLOAT. A value is NULL until it is defined at the bar;
every row stands in the price basis of its own session. `marketlake indicators` lists what this installation computes,
`marketlake indicators describe rsi` tells about one. How closely the columns agree with TA-Lib and others:
[indicator-accuracy.md](indicator-accuracy.md). A formula of your own: [how-to-add-an-indicator.md](how-to-add-an-indicator.md).
"""

_CHOOSING = """Name a YAML file in `MARKETLAKE_INDICATORS` (a relative path is taken from the home):

```yaml
indicators:
  - name: rsi
    window: 7
  - name: bollinger
    window: 50
    deviations: 2.5
```

Nothing else is edited: tables, models, checks, the catalogue and Dagster's column lists follow. The columns come after the
contract's, here `rsi_7`, `bb_upper_50_2p5`, `bb_middle_50_2p5`, `bb_lower_50_2p5`. The next nightly run after a change of the file
rebuilds every row, because a table never holds rows of two definitions; each release records what it was built with.

What can be chosen, with bounds, and the columns of an example:
"""

_END = """A wrong file is refused with the line and what to do. Windows reach to 1,000 bars. At the contract's parameters the chosen
columns have the very bits of the contract's, whose names they would take; such an entry is refused as a duplicate.
"""
