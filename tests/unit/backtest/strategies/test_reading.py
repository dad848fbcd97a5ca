"""Strategy files: what stands where nothing is said, and a line for every mistake."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from pipelines.backtest.rules import FillRules, Rules
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.strategies.reading import StrategyFileError, read_strategy, strategy_of_scanner
from pipelines.user_files import UserFileError

SHORTEST = "strategy: sma_cross\nscanners: [golden_cross]\n"


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "s.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("more", "line", "message"),
    [
        ("exits:\n  stop_los: 0.1\n", 4, "no key 'exits.stop_los'; did you mean stop_loss?"),
        ("exit: {}\n", 3, "no key 'exit'; did you mean exits?"),
        ("exits:\n  max_sessions: 5\n  stop_loss: 1.5\n", 5, "exits.stop_loss is 1.5: input should be less than 1"),
        ("sizing: {method: volatilty_target}\n", 3, "did you mean volatility_target?"),
        ("sizing:\n  method: volatility_target\n", 3, "volatility belongs to the method volatility_target"),
        ("costs: {bps: 5}\n", 3, "bps and minimum belong to the schedule flat"),
        ("dates: {from: 2020-01-01}\n", 3, "put it in quotes"),
        ('dates: {from: "2020-13-01"}\n', 3, "dates.from is '2020-13-01'"),
        ("limits:\n  positions: 0\n", 4, "limits.positions is 0"),
        ("limits:\n  short: 1\n", 4, "limits.short is 1"),
        ("fills: {volume_share: 0.05, volume_share: 0.1}\n", 3, "given twice"),
        ("universe: []\n", 3, "universe"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(written, more, line, message):
    path = written(SHORTEST + more)
    with pytest.raises(UserFileError, match=rf"^{re.escape(str(path))}:{line}: .*{re.escape(message)}"):
        read_strategy(path)


@pytest.mark.parametrize("text", ["", "scanners: [a]\n", "- a\n", "strategy: A\nscanners: [a]\n", "strategy: abc\nscanners: []\n"])
def test_a_file_that_names_no_strategy_and_scanner_is_refused(written, text):
    with pytest.raises(StrategyFileError):
        read_strategy(written(text))


def test_a_value_given_beside_the_file_wins_and_its_mistakes_name_the_option(written):
    path = written(SHORTEST + "exits: {stop_loss: 0.1, max_sessions: 5}\n")
    changed = read_strategy(path, {"exits.stop_loss": 0.2, "limits.positions": 3, "dates.from": date(2020, 1, 2)})
    assert (changed.exits.stop_loss, changed.exits.max_sessions, changed.limits.positions) == (0.2, 5, 3)
    assert changed.dates.first == date(2020, 1, 2)
    with pytest.raises(StrategyFileError, match=r"^--param: no key 'exits\.stop_los'; did you mean stop_loss\?"):
        read_strategy(path, {"exits.stop_los": 0.2})
    with pytest.raises(StrategyFileError, match=r"^--param strategy\.name: strategy has no keys of its own"):
        read_strategy(path, {"strategy.name": 1})


def test_the_defaults_are_those_that_the_docs_state(written):
    text = (Path(__file__).parents[4] / "docs" / "backtest.md").read_text(encoding="utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    stated = yaml.safe_load(example)
    stated["dates"] = {}
    assert set(stated) == {field.alias or name for name, field in StrategyFile.model_fields.items()}
    shortest = StrategyFile(strategy=stated["strategy"], scanners=stated["scanners"])
    for key, value in shortest.as_parameters().items():
        if isinstance(value, dict) and key != "dates":
            assert set(stated[key]) == set(value), key
    path = written(example)
    assert read_strategy(path, {"dates": {}}).as_parameters() == shortest.as_parameters()


def test_a_scanner_alone_is_traded_by_the_nightly_rules():
    home = FillRules(volume_share=0.1)
    nightly = Rules(initial_cash=1e6, max_sessions=20, volume_share=home.volume_share)
    strategy = strategy_of_scanner("breakout_20d", 1e6, 0.1)
    assert strategy.rules(home) == nightly
    assert strategy.order_plan().as_parameters()["signal_levels"]


def test_every_key_reaches_the_rules(written):
    path = written(
        SHORTEST
        + """
cash: 5000
signal_sessions: 2
sizing: {fraction: 0.5}
orders: {type: limit, offset_bps: 50, sessions: 3}
exits:
  {stop_loss: 0.1, take_profit: 0.2, trailing_stop: 0.3, max_sessions: 4, session_end: all, opposing_signal: false,
   signal_levels: false, at_end: open}
fills: {price: close, slippage_bps: 5, slippage_ticks: 2, volume_share: 0.02}
limits: {positions: 7, exposure: 0.8, sector: 0.3, entries_per_session: 6, drawdown: 0.25, margin: 2, overdraft: true, short: true}
"""
    )
    strategy = read_strategy(path)
    assert strategy.rules(FillRules(locked_move=0.02, delisting_haircut=0.4)) == Rules(
        initial_cash=5000,
        fraction=0.5,
        max_positions=7,
        max_sessions=4,
        stop_fraction=0.1,
        target_fraction=0.2,
        kill_drawdown=0.25,
        allow_short=True,
        signal_sessions=2,
        volume_share=0.02,
        locked_move=0.02,
        delisting_haircut=0.4,
        trail_fraction=0.3,
        fill_at="close",
        slippage_bps=5,
        slippage_ticks=2,
        order_sessions=3,
        square_off="all",
        exit_on_signal=False,
        leverage=2,
        max_exposure=0.8,
        sector_share=0.3,
        max_entries=6,
        overdraw=True,
    )
    plan = strategy.order_plan()
    assert (plan.kind, plan.offset, plan.signal_levels, plan.close_at_last_open) == ("limit", 0.005, False, True)
    equal = read_strategy(path, {"sizing": {"method": "equal_weight"}})
    assert equal.rules(FillRules()).fraction == 1 / 7
