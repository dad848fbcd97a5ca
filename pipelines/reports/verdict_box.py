"""The first box of a report: the sentence, and the figures that it follows from.

Lives here: what each figure is called and how it is written. Does not live here: the figures and the rules (`backtest/verdict/`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.backtest.verdict.figures import Evidence
from pipelines.backtest.verdict.sentence import Verdict, conclude
from pipelines.reports.formats import MINUS, amount, percent

#: Kinds of verdict that leave the question open.
_OPEN = ("holds_so_far",)
_UNDECIDED = ("too_short", "nothing_traded")


@dataclass(frozen=True)
class ShownFigure:
    """A figure as it stands on the page: `value` empty where there is none, and then `missing` says why."""

    name: str
    title: str
    value: str
    made_of: str
    missing: str


@dataclass(frozen=True)
class VerdictBox:
    """tone: `against`, `open` or `undecided`."""

    verdict: Verdict
    tone: str
    figures: tuple[ShownFigure, ...]


def verdict_box(evidence: Evidence, currency: str = "") -> VerdictBox:
    """The box of a run's evidence. currency: code, for amounts."""
    verdict = conclude(evidence)
    tone = "open" if verdict.kind in _OPEN else "undecided" if verdict.kind in _UNDECIDED else "against"
    shown = []
    for name, figure in evidence.figures.items():
        title, write = _WRITTEN[name]
        value = "" if figure.value is None else write(figure.value)
        if name == "capacity" and value and currency:
            value = f"{value} {currency}"
        shown.append(ShownFigure(name, title, value, figure.made_of, figure.missing))
    return VerdictBox(verdict, tone, tuple(shown))


def _signed(value: float) -> str:
    return ("+" if value >= 0 else MINUS) + percent(abs(value), 2) + " a year"


_WRITTEN: dict[str, tuple[str, Callable[[float], str]]] = {
    "trials": ("Parameter sets tried", amount),
    "deflated_sharpe": ("Deflated Sharpe ratio", lambda value: percent(value, 1)),
    "overfitting_probability": ("Probability of overfitting (PBO)", lambda value: percent(value, 1)),
    "track_record": ("Track record needed", lambda value: f"{amount(value)} sessions"),
    "survivorship": ("What survivorship is worth", _signed),
    "cost_share": ("Costs, of the gross profit", lambda value: percent(value, 1)),
    "capacity": ("Capacity at 5 % of volume", amount),
    "restated_rows": ("Restated rows inside", amount),
    "look_ahead": ("Look-ahead", lambda value: "none found" if value == 0 else f"{value:.0f} found"),
    "shuffled_percentile": ("Rank among shuffled signals", lambda value: f"above {percent(value, 1)}"),
}
