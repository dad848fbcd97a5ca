"""The file of rules: what a good one says, and one line for each thing that can be wrong."""

from pathlib import Path

import pytest

from pipelines.indicators.registry import REGISTRY
from pipelines.scanners.rules.columns import rule_columns
from pipelines.scanners.rules.file import Rule, RuleFileError, read_rules

COLUMNS = rule_columns(REGISTRY)
GOOD = """
scanners:
  oversold:
    when: rsi_14 < threshold
          and close > sma_200
    side: BUY
    target_atr: 4
    score: (threshold - rsi_14) / threshold
    parameters:
      threshold: {default: 30, range: [0, 50], unit: points, meaning: RSI below which it counts as oversold.}
  early:
    when: close > previous(high) and relative_volume > 2
    side: SELL
    evaluates: intraday
    moments: ["09:50", every_bar]
    universe: liquid
    min_coverage_pct: 80
"""


@pytest.fixture
def read(tmp_path: Path):
    def of(text: str, taken: frozenset[str] = frozenset()) -> tuple[Rule, ...]:
        path = tmp_path / "scanners.yml"
        path.write_text(text, encoding="utf-8")
        return read_rules(path, COLUMNS, taken)

    return of


def test_a_rule_gets_what_it_does_not_say(read) -> None:
    oversold, early = read(GOOD)

    assert oversold.when == "rsi_14 < threshold and close > sma_200"
    assert (oversold.evaluates, oversold.moments, oversold.universe) == ("closed_daily", ("close",), "all")
    assert {name: about["default"] for name, about in oversold.parameters.items()} == {
        "threshold": 30.0,
        "stop_atr": 2.0,
        "target_atr": 4.0,
    }
    assert (early.side, early.score, early.moments) == ("SELL", "0.5", ("09:50", "every_bar"))
    assert (early.universe, early.min_coverage_pct) == ("liquid", 80.0)


def test_a_rule_that_decides_otherwise_has_another_version_and_new_words_alone_do_not_give_one(read) -> None:
    first = read(GOOD)[0].version
    assert read(GOOD.replace("close > sma_200", "close > sma_50"))[0].version != first
    assert read(GOOD.replace("side: BUY", "side: SELL"))[0].version != first
    assert read(GOOD.replace("    side: BUY", "    side: BUY\n    description: Words."))[0].version == first
    assert read(GOOD.replace("default: 30", "default: 25"))[0].version == first
    assert read("# A remark.\n" + GOOD)[0].version == first


ONE = "scanners:\n  mine:\n    when: close > open\n    side: BUY\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"scanners.yml:1: the file is empty; write `scanners:`"),
        ("rules: {}", r"scanners.yml:1: write `scanners:`"),
        ("scanners: [a, b]", r"scanners.yml:1: write `scanners:`"),
        ("scanners:\n  mine: close > open", r"scanners.yml:2: mine: a rule needs at least"),
        ("scanners:\n  mine: {when: [", r"scanners.yml:\d: not YAML"),
        (ONE + "    when: close < open\n", r"scanners.yml:2: mine: when is given twice"),
        (ONE + ONE.removeprefix("scanners:\n"), r"scanners.yml:5: mine: another rule has this name"),
        (ONE.replace("mine", "universe"), r"scanners.yml:2: universe: another model has this name"),
        (ONE.replace("mine", "My Rule"), r"My Rule: a name has small letters"),
        (ONE.replace("mine", "select"), r"select: .*SQL"),
        (ONE.replace("side: BUY", "side: buy"), r"mine: side is 'buy'; write BUY or SELL"),
        (ONE.replace("    side: BUY\n", ""), r"mine: side is missing"),
        (ONE + "    wen: 3\n", r"mine: no field 'wen'; did you mean when\?"),
        (ONE + "    stop_atr: two\n", r"mine: stop_atr cannot be 'two'"),
        (ONE + "    stop_atr: 200\n", r"mine: stop_atr lies outside 0 … 100"),
        (ONE + "    stop_atr: .nan\n", r"scanners.yml:5: '.nan' is no number up to 1e\+15"),
        (ONE + "    min_coverage_pct: 101\n", r"mine: min_coverage_pct lies outside 0 … 100"),
        (ONE + "    evaluates: daily\n", r"mine: evaluates is 'daily'; write one of closed_daily"),
        (ONE + '    moments: ["09:50"]\n', r"mine: moments: a rule on finished sessions"),
        (ONE + "    evaluates: intraday\n    moments: [10:30]\n", r'mine: moments: 630 is neither close, every_bar nor "HH:MM"'),
        (ONE + "    evaluates: intraday\n    moments: []\n", r"mine: moments is empty"),
        (ONE + "    score: close > open\n", r"mine: score: at position 1 of 'close > open': it must be a number"),
        (ONE.replace("close > open", "close + open"), r"mine: when: at position 1 of 'close \+ open': it must be a condition"),
        (
            ONE.replace("close > open", "close > sma200"),
            r"when: at position 9 of 'close > sma200': no column 'sma200'; did you mean sma_200\?",
        ),
        (ONE.replace("close > open", "RSI_14 < 30"), r"at position 1 .* no column 'RSI_14'; did you mean rsi_14\?"),
        (
            ONE.replace("close > open", "previous(relative_volume) > 2"),
            r"at position 10 .*relative_volume is known as of the moment only",
        ),
        (ONE.replace("close > open", "previous(" * 39 + "close" + ")" * 39 + " > 1"), ""),
        (
            ONE + "    parameters: {close: {default: 1, range: [0, 2], unit: x, meaning: y}}\n",
            r"parameter close: .*it is a column's",
        ),
        (ONE + "    parameters: {level: {default: 1}}\n", r"parameter level lacks range, unit, meaning"),
        (ONE + "    parameters: {level: {default: 3, range: [0, 2], unit: x, meaning: y}}\n", r"default 3 lies outside 0 … 2"),
        (ONE + "    parameters: {side: {default: 1, range: [0, 2], unit: x, meaning: y}}\n", r"parameter side: "),
        (ONE + "    parameters: {order: {default: 1, range: [0, 2], unit: x, meaning: y}}\n", r"parameter order: "),
    ],
)
def test_what_is_wrong_is_told_with_file_line_rule_and_a_way_out(read, text: str, told: str) -> None:
    if not told:
        read(text)
        return
    with pytest.raises(RuleFileError, match=told):
        read(text, frozenset({"universe"}))


_DEEP = "[" * 5_000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ONE + "    description: 2024-99-99\n", r"scanners.yml:5: '2024-99-99' is a date; put it in quotes"),
        (ONE + "    description: !!python/object:os.system x\n", r"scanners.yml:5: 'x' is of the kind .*python/object"),
        (ONE + "    description: !secret x\n", r"scanners.yml:5: 'x' is of the kind '!secret'"),
        (ONE + "    description: a\x07b\n", r"scanners.yml:5: .*U\+0007"),
        (ONE + '    description: "a\\e[31mb"\n', r"scanners.yml:5: .* holds the control character U\+001B"),
        (ONE + "    parameters: {[a, b]: {default: 1}}\n", r"scanners.yml:5: a list or mapping cannot be a name"),
        ("scanners:\n  ? [a]\n  : {when: close > 1, side: BUY}\n", r"scanners.yml:2: a list or mapping cannot be the name"),
        ("scanners:\n  mine:\n    ? {a: b}\n    : 1\n", r"scanners.yml:3: a list or mapping cannot be a name"),
        (ONE + f"    stop_atr: {'9' * 400}\n", r"scanners.yml:5: '9999.*is no number up to"),
        (ONE + f"    stop_atr: {'9' * 5_000}\n", r"scanners.yml:5: '9999"),
        (ONE + "    stop_atr: .inf\n", r"scanners.yml:5: '.inf' is no number"),
        (ONE + f"    parameters: {_DEEP}\n", r"scanners.yml:5: more than 20 levels"),
        (ONE.replace("close > open", "close > " + "(" * 900), r"mine: when: at position .*levels of parentheses"),
        (ONE.replace("close > open", "close > " + "1+" * 900 + "1"), r"mine: when: at position .*signs of arithmetic"),
        (ONE.replace("close > open", "close > " + "9" * 400), r"mine: when: at position .*a number has at most"),
        (ONE + "    parameters:\n      a1b: {default: 1, default: 2}\n", r"scanners.yml:6: 'default' is given twice"),
        (ONE + "    parameters: {level: {default: 1, range: [0, 2], unit: [x], meaning: y}}\n", r"level: unit cannot be \['x'\]"),
        (ONE + "    description: &a x\n    universe: *a\n", r"scanners.yml:5: anchors and aliases"),
        (ONE + '    "\\e[2Jwen": 3\n', r"mine: no field '\\x1b\[2Jwen'"),
    ],
)
def test_a_hostile_or_broken_file_is_one_line_with_its_place(read, text: str, told: str) -> None:
    with pytest.raises(RuleFileError, match=told) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_what_is_no_regular_file_is_refused_unread() -> None:
    with pytest.raises(RuleFileError, match=r"MARKETLAKE_SCANNERS: /dev/zero is no regular file"):
        read_rules(Path("/dev/zero"), COLUMNS)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match=r"MARKETLAKE_SCANNERS: cannot read .*gone\.yml"):
        read_rules(tmp_path / "gone.yml", COLUMNS)
