"""Rules refuse what makes no sense, naming the field."""

from __future__ import annotations

import math

import pytest

from pipelines.backtest.rules import Rules


@pytest.mark.parametrize(
    "change",
    [
        {"initial_cash": 0},
        {"initial_cash": math.nan},
        {"fraction": 1.5},
        {"max_positions": 0},
        {"max_sessions": 0},
        {"stop_fraction": 1.0},
        {"target_fraction": 0.0},
        {"kill_drawdown": -0.1},
        {"signal_sessions": -1},
    ],
)
def test_a_senseless_rule_is_refused_by_name(change):
    with pytest.raises(ValueError, match=rf"Rules\.{next(iter(change))} is"):
        Rules(**change)


def test_no_limit_is_spelled_none_and_never_binds():
    compiled = Rules().compiled()
    assert (compiled.max_sessions, compiled.kill_drawdown) == (0, math.inf)
    assert math.isnan(compiled.stop_fraction)
