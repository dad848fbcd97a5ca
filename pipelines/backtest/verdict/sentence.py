"""One plain sentence about a run, by written rules: the first that applies speaks.

Lives here: `conclude`, a pure function of `Evidence`, and its thresholds.
Does not live here: the figures (`evidence`), how they look (`reports/`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.backtest.verdict.figures import Evidence

#: Below these a run is no record of anything.
LEAST_SESSIONS, LEAST_TRADES = 252, 30
#: Confidence that is asked of a Sharpe ratio, and of a rank among shuffled runs.
CONFIDENCE = 0.95
#: From here on the best parameter set of one half of the months is no better than any other in the other half.
OVERFITTED = 0.5
#: Part of the gross profit from which on costs are the story.
COSTLY = 0.5


@dataclass(frozen=True)
class Verdict:
    """kind: a name for machines, such as `peeks`. sentence: for people."""

    kind: str
    sentence: str


def conclude(evidence: Evidence) -> Verdict:
    """The verdict of the first rule that applies; the last one always does."""
    for rule in _RULES:
        verdict = rule(evidence)
        if verdict is not None:
            return verdict
    return Verdict("holds_so_far", _holds(evidence))


def _peeks(evidence: Evidence) -> Verdict | None:
    if not evidence.peeks:
        return None
    return Verdict(
        "peeks", f"This strategy looks into the future, so none of its figures can be had by trading: {'; '.join(evidence.peeks)}."
    )


def _nothing_traded(evidence: Evidence) -> Verdict | None:
    if evidence.trades:
        return None
    return Verdict("nothing_traded", "No signal led to a trade: there is nothing to judge.")


def _too_little(evidence: Evidence) -> Verdict | None:
    if evidence.sessions >= LEAST_SESSIONS and evidence.trades >= LEAST_TRADES:
        return None
    return Verdict(
        "too_short",
        f"Too short to say anything: {_counted(evidence.sessions, 'session')} and {_counted(evidence.trades, 'trade')}, where "
        f"{LEAST_SESSIONS} and {LEAST_TRADES} are the least.",
    )


def _loses(evidence: Evidence) -> Verdict | None:
    if evidence.net_return is None or evidence.net_return > 0:
        return None
    share = evidence.value("cost_share")
    why = (
        "its trades lose money before costs already"
        if share is None
        else f"costs eat {share:.0%} of what its trades earn before them"
    )
    return Verdict("no_edge", f"No edge after costs: {why}.")


def _overfitted(evidence: Evidence) -> Verdict | None:
    trials, deflated = evidence.value("trials"), evidence.value("deflated_sharpe")
    if trials is None or trials < 2:
        return None
    chance = evidence.value("overfitting_probability")
    by_months = chance is not None and chance >= OVERFITTED
    alone = evidence.by_luck_alone
    by_count = alone is not None and deflated is not None and alone >= CONFIDENCE > deflated
    if not (by_months or by_count):
        return None
    parts = []
    if by_count:
        parts.append(
            f"convincing on its own, but among {trials:,.0f} parameter sets tried the chance that it is more than the luckiest of "
            f"them is {deflated:.0%}"
        )
    if by_months:
        parts.append(f"the best set of one half of the months is a poor one in the other half {chance:.0%} of the time")
    return Verdict("overfitted", f"Overfitted, by all that can be seen: {', and '.join(parts)}.")


def _no_better_than_shuffled(evidence: Evidence) -> Verdict | None:
    percentile = evidence.value("shuffled_percentile")
    if percentile is None or percentile >= CONFIDENCE:
        return None
    return Verdict(
        "no_edge",
        f"No edge after costs that its signals would explain: the same rules on shuffled signals do as well or better "
        f"{1 - percentile:.0%} of the time.",
    )


def _needs_longer(evidence: Evidence) -> Verdict | None:
    needed = evidence.figures["track_record"]
    if needed.value is not None and needed.value <= evidence.sessions:
        return None
    how_long = f"it needs {needed.value:,.0f}" if needed.value is not None else needed.missing
    return Verdict("too_short", f"Too short a record: {_counted(evidence.sessions, 'session')}, and {how_long}.")


def _costly(evidence: Evidence) -> Verdict | None:
    share = evidence.value("cost_share")
    if share is None or share < COSTLY:
        return None
    return Verdict("costly", f"What is earned goes to costs: {share:.0%} of the gross profit. A little worse a fill ends it.")


def _small(evidence: Evidence) -> Verdict | None:
    capacity = evidence.value("capacity")
    if capacity is None or capacity >= evidence.cash:
        return None
    return Verdict(
        "too_large",
        f"Too large for its market: 5 % of volume holds {capacity:,.0f} of the {evidence.cash:,.0f} that it starts with.",
    )


def _holds(evidence: Evidence) -> str:
    unknown = [_TITLES[name] for name, figure in evidence.figures.items() if figure.value is None and name in _TITLES]
    apart = f" Not known: {', '.join(unknown)}." if unknown else ""
    return f"Nothing here speaks against it so far; what it did on days that nobody had seen yet is the only proof.{apart}"


_TITLES = {
    "overfitting_probability": "the probability of overfitting",
    "survivorship": "what survivorship is worth",
    "capacity": "how much money it can carry",
    "shuffled_percentile": "how it ranks among shuffled signals",
}
_RULES: tuple[Callable[[Evidence], Verdict | None], ...] = (
    _peeks,
    _nothing_traded,
    _too_little,
    _loses,
    _overfitted,
    _no_better_than_shuffled,
    _needs_longer,
    _costly,
    _small,
)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
