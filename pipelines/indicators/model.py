"""What an indicator is: its inputs, parameters, outputs, carried state, look-back and warm-up, as one frozen record.

Not here: the built-in indicators (`builtin`), the kernels, or numba.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipelines.indicators.frame import INPUT_NAMES

StateUnit = Literal["price", "volume", "price_volume", "ratio", "count"]

UNIT_POWERS: Mapping[str, tuple[int, int]] = {
    "price": (1, 0),
    "volume": (0, 1),
    "price_volume": (1, 1),
    "ratio": (0, 0),
    "count": (0, 0),
}
"""Powers of price and volume in each unit: what a change of the price basis multiplies and divides."""


@dataclass(frozen=True, slots=True)
class Output:
    """One published column.

    `unit` is "price", "volume", "percent" or "ratio"; `low` and `high` are the bounds its values can never leave (None where
    there is none). NaN means: not defined at this bar.
    """

    name: str
    unit: str
    description: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class StateField:
    """One float64 carried from bar to bar; its unit says how a corporate action rescales it."""

    name: str
    unit: StateUnit


@dataclass(frozen=True, slots=True)
class Indicator:
    """An indicator, or a family computed together.

    `kernel` is "module:function" (see `pipelines.indicators.kernels` for the signature), imported on first use.
    `lookback`: bars before a bar that the kernel may read. `warm_up`: bars of an instrument until the first output is
    defined (the first value stands on bar number `warm_up`, counted from 1). `options`: where there are any, the kernel gets
    them as a float64 array between `span` and `state`, so that one compiled kernel serves every choice of parameters.
    """

    name: str
    kernel: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, float]
    outputs: tuple[Output, ...]
    lookback: int
    warm_up: int
    formula: str
    source: str
    state_fields: tuple[StateField, ...] = field(default=())
    options: tuple[float, ...] = field(default=())

    def __post_init__(self) -> None:
        unknown = set(self.inputs) - set(INPUT_NAMES)
        if unknown:
            raise ValueError(f"indicator {self.name!r}: unknown inputs {sorted(unknown)}; known are {', '.join(INPUT_NAMES)}")
        if not self.outputs:
            raise ValueError(f"indicator {self.name!r}: no outputs declared; list at least one Output")
        if self.lookback < 0 or self.warm_up < 1:
            raise ValueError(f"indicator {self.name!r}: lookback must be at least 0 and warm_up at least 1")
        if self.kernel.count(":") != 1:
            raise ValueError(f"indicator {self.name!r}: kernel {self.kernel!r} must read 'module:function'")
        for state_field in self.state_fields:
            if state_field.unit not in UNIT_POWERS:
                raise ValueError(
                    f"indicator {self.name!r}: state field {state_field.name!r} has unit {state_field.unit!r}; "
                    f"use one of {', '.join(UNIT_POWERS)}"
                )
