"""A figure of the verdict: its value, what it is made of, and why there is none.

Lives here: `Figure`, `Evidence`. Does not live here: how they are found (`evidence`), what follows from them (`sentence`).
"""

from __future__ import annotations

from dataclasses import dataclass

#: Names of the figures, in the order in which a report shows them.
FIGURES = (
    "trials",
    "deflated_sharpe",
    "overfitting_probability",
    "track_record",
    "survivorship",
    "cost_share",
    "capacity",
    "restated_rows",
    "look_ahead",
    "shuffled_percentile",
)


@dataclass(frozen=True)
class Figure:
    """made_of: the parts of the value in words and numbers. missing: why there is no value; empty where there is one."""

    value: float | None
    made_of: str
    missing: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.missing):
            raise ValueError(f"figure {self.value!r} ({self.made_of}): a missing value has a reason, and no other has one")

    @classmethod
    def unknown(cls, why: str, made_of: str = "") -> Figure:
        """A figure that cannot be computed."""
        return cls(None, made_of, why)


@dataclass(frozen=True)
class Evidence:
    """What is known for and against a run.

    sessions, trades: how long and how often. net_return: total, after costs. by_luck_alone: probability that the true Sharpe ratio
    is above 0 were this the only parameter set ever tried; None where it is not defined. cash: the initial one. peeks: what in this
    run uses the future, in words; empty where nothing was found. figures: by name, all of `FIGURES`: trials; deflated_sharpe;
    overfitting_probability; track_record, the sessions that it needs; survivorship, CAGR of survivors less that of the run;
    cost_share of the gross profit; capacity, in currency; restated_rows; look_ahead, how many ways of looking ahead were found;
    shuffled_percentile, the part of shuffled runs with a lower Sharpe ratio. base_win_rate, base_return: of the shuffled runs.
    """

    sessions: int
    trades: int
    net_return: float | None
    by_luck_alone: float | None
    cash: float
    peeks: tuple[str, ...]
    figures: dict[str, Figure]
    base_win_rate: float | None = None
    base_return: float | None = None

    def __post_init__(self) -> None:
        if tuple(self.figures) != FIGURES:
            raise ValueError(f"Evidence.figures are {', '.join(self.figures)}; they must be {', '.join(FIGURES)}")

    def value(self, name: str) -> float | None:
        """The value of a figure, None where there is none."""
        return self.figures[name].value
