"""The sentence of a verdict follows from its figures by written rules, the gravest first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.backtest.verdict.figures import FIGURES, Evidence, Figure
from pipelines.backtest.verdict.sentence import conclude

GOOD: dict[str, float | None] = {
    "trials": 1,
    "deflated_sharpe": 0.99,
    "overfitting_probability": None,
    "track_record": 500,
    "survivorship": 0.0,
    "cost_share": 0.1,
    "capacity": 1e8,
    "restated_rows": 0,
    "look_ahead": 0,
    "shuffled_percentile": 1.0,
}


def evidence(peeks: tuple[str, ...] = (), **changes: float | None) -> Evidence:
    """Evidence of ten good years, but for what is changed."""
    own = {name: changes.pop(name) for name in ("sessions", "trades", "net_return", "by_luck_alone") if name in changes}
    values = {**GOOD, **changes}
    figures = {name: Figure(values[name], "parts") if values[name] is not None else Figure.unknown("why") for name in FIGURES}
    good = Evidence(2520, 400, 1.2, 0.999, 1e6, peeks, figures)
    return replace(good, **own)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (evidence(), "holds_so_far", "Not known: the probability of overfitting."),
        (evidence(peeks=("fills at the close",)), "peeks", "looks into the future"),
        (evidence(trades=0), "nothing_traded", "nothing to judge"),
        (evidence(sessions=60), "too_short", "60 sessions and 400 trades"),
        (evidence(trades=1), "too_short", "2,520 sessions and 1 trade,"),
        (evidence(net_return=-0.2, cost_share=None), "no_edge", "lose money before costs"),
        (evidence(net_return=-0.2, cost_share=1.4), "no_edge", "costs eat 140%"),
        (evidence(trials=1000, deflated_sharpe=0.3), "overfitted", "among 1,000 parameter sets"),
        (evidence(trials=20, overfitting_probability=0.7), "overfitted", "70% of the time"),
        (evidence(shuffled_percentile=0.6), "no_edge", "shuffled signals do as well or better 40%"),
        (evidence(track_record=4000, deflated_sharpe=0.9, by_luck_alone=0.9), "too_short", "it needs 4,000"),
        (evidence(track_record=None, deflated_sharpe=0.4, by_luck_alone=0.4), "too_short", "2,520 sessions, and why"),
        (evidence(cost_share=0.6), "costly", "60% of the gross profit"),
        (evidence(capacity=5e5), "too_large", "holds 500,000 of the 1,000,000"),
        # The gravest speaks: who peeks need not hear of costs.
        (evidence(peeks=("x",), net_return=-1.0, trials=1000, deflated_sharpe=0.0), "peeks", "x."),
        (evidence(trials=1000, deflated_sharpe=0.3, shuffled_percentile=0.2), "overfitted", "Overfitted"),
    ],
)
def test_the_gravest_objection_speaks(given: Evidence, kind: str, words: str) -> None:
    verdict = conclude(given)
    assert verdict.kind == kind
    assert words in verdict.sentence


def test_a_good_ratio_among_many_sets_that_survives_deflation_is_not_called_overfitted() -> None:
    assert conclude(evidence(trials=1000, overfitting_probability=0.1)).kind == "holds_so_far"


def test_what_is_not_known_is_never_counted_in_its_favour() -> None:
    everything = dict.fromkeys(("overfitting_probability", "survivorship", "capacity", "shuffled_percentile"))
    sentence = conclude(evidence(**everything)).sentence
    assert "what survivorship is worth" in sentence
    assert "how it ranks among shuffled signals" in sentence


def test_a_missing_value_has_a_reason() -> None:
    with pytest.raises(ValueError, match="has a reason"):
        Figure(None, "parts")
    with pytest.raises(ValueError, match="has a reason"):
        Figure(1.0, "parts", "why")


def test_every_figure_is_there() -> None:
    with pytest.raises(ValueError, match="they must be"):
        Evidence(1, 1, 0.0, None, 1.0, (), {})
