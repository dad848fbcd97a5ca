"""The grammar: what it accepts, how tightly things bind, and where it says that something is wrong."""

from itertools import pairwise

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.scanners.rules.expression import (
    TIE_SESSIONS,
    Comparison,
    Crossing,
    ExpressionError,
    Logic,
    Name,
    Operation,
    Previous,
    is_condition,
    names,
    parse,
)
from pipelines.scanners.rules.model import expression_sql

VALUES = {"open": 98.5, "high": 110.0, "low": 95.25, "close": 104.75, "volume": 1200.0, "rsi_14": 61.5}


def in_sql(text: str, values: dict[str, float | None] | None = None) -> object:
    """What DuckDB makes of an expression over columns `<name>__0`."""
    given_values = VALUES if values is None else values
    columns = ", ".join(f"cast(? as double) as {name}" for name in (f"{n}__0" if "__" not in n else n for n in given_values))
    query = f"select {expression_sql(parse(text), ())} from (select {columns})"
    return duckdb.execute(query, list(given_values.values())).fetchall()[0][0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("2 - 3 - 4", -5.0),
        ("12 / 3 / 2", 2.0),
        ("-2 * -3", 6.0),
        ("--2", 2.0),
        (".5 + 1.", 1.5),
        ("high - low", 14.75),
        ("1 / 0", None),
    ],
)
def test_arithmetic_binds_as_on_paper_and_a_division_by_nothing_is_unknown(text: str, value: float | None) -> None:
    assert in_sql(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("close > open and volume >= 1200", True),
        ("close > open and volume > 1200", False),
        ("close < open or rsi_14 > 60 and volume > 1", True),
        ("(close < open or rsi_14 > 60) and volume > 5000", False),
        ("not close < open", True),
        ("not (close > open or close > 1)", False),
        ("not not close > open", True),
        ("30 < rsi_14 < 70", True),
        ("30 < rsi_14 < 60", False),
        ("close == 104.75", True),
        ("close != 104.75", False),
        ("low <= close <= high", True),
        ("close > open / 0", None),
        ("close > open or close > open / 0", True),
        ("close < open and close > open / 0", False),
    ],
)
def test_conditions_bind_or_weaker_than_and_and_know_what_they_do_not_know(text: str, value: object) -> None:
    assert in_sql(text) is value


def test_sums_that_differ_by_less_than_a_float_can_hold_are_equal() -> None:
    assert in_sql("0.1 + 0.2 == 0.3") is True
    assert in_sql("0.1 + 0.2 > 0.3") is False


@pytest.mark.parametrize(
    ("text", "position", "told"),
    [
        ("", 1, "the expression ends where a number"),
        ("close >", 8, "the expression ends where a number"),
        ("close > open)", 13, "')' is not expected here"),
        ("(close > open", 14, "the expression ends where ')' is expected"),
        ("close = open", 7, "write == to compare"),
        ("close and open > 1", 1, "a condition is expected here"),
        ("not close", 5, "a condition is expected here"),
        ("(close > open) + 1", 8, "a number is expected here, not a condition"),
        ("close > open; drop table bars", 13, "';' has no meaning"),
        ("close > 'x'", 9, '"\'" has no meaning'),
        ('close > "open"', 9, "'\"' has no meaning"),
        ("sleep(5) > 1", 1, "no function 'sleep'; there are previous, crosses_above, crosses_below"),
        ("previous(close, 2) > 1", 1, "previous takes 1 value, not 2"),
        ("crosses_above(close)", 1, "crosses_above takes 2 values, not 1"),
        ("close > and", 9, "'and' stands where"),
        ("close close", 7, "'close' is not expected here"),
        ("1e5 > close", 2, "'e5' is not expected here"),
        ("(" * 60 + "close" + ")" * 60, 42, "more than 40 levels"),
        ("close > " + "1" * 2001, 2000, "longer than 2000 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, position: int, told: str) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(text)
    assert told in str(error.value)
    assert error.value.position == position


def test_names_are_told_with_how_far_back_they_reach() -> None:
    assert [(n.name, ago) for n, ago in names(parse("close > previous(previous(high)) + previous(low)"))] == [
        ("close", 0),
        ("high", 2),
        ("low", 1),
    ]
    crossing = {(n.name, ago) for n, ago in names(parse("previous(crosses_above(close, sma_50))"))}
    assert crossing == {(name, ago) for name in ("close", "sma_50") for ago in range(1, TIE_SESSIONS + 2)}


# --- against an evaluator of our own

_NUMBERS = st.recursive(
    st.sampled_from([*VALUES, "2", "0.5", "100"]),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=5,
)
_CONDITIONS = st.recursive(
    st.tuples(_NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), _NUMBERS).map(" ".join),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})")
        | inner.map(lambda t: f"not ({t})")
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=50)
@given(_CONDITIONS)
def test_sql_says_what_python_says(text: str) -> None:
    from fractions import Fraction

    exact = {name: Fraction(value) for name, value in VALUES.items()}
    assert is_condition(parse(text))
    assert in_sql(text) is bool(eval(text, {"__builtins__": {}}, exact))  # the generated text alone


# --- crossings


def crossings(a: list[int], b: list[int], word: str = "crosses_above") -> list[int]:
    """Sessions in which SQL sees a cross; values are ticks, latest last."""
    found = []
    for at in range(1, len(a)):
        values = {}
        for name, series in (("close", a), ("open", b)):
            for back in range(TIE_SESSIONS + 1):
                values[f"{name}__{back}"] = series[at - back] * 0.05 if at >= back else None
        if in_sql(f"{word}(close, open)", values):
            found.append(at)
    return found


def test_touching_and_turning_back_is_no_cross_and_a_tie_on_the_way_is_one() -> None:
    level = [10] * 5
    assert crossings([9, 10, 9, 10, 9], level) == []
    assert crossings([11, 10, 11, 10, 11], level) == []
    assert crossings([9, 10, 11, 11, 11], level) == [2]
    assert crossings([9, 11, 9, 11, 9], level) == [1, 3]
    assert crossings([11, 10, 10, 9, 9], level, "crosses_below") == [3]
    assert crossings(level, level) == []


@pytest.mark.slow
@pytest.mark.measured
@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(99, 101), st.just(100)), min_size=2, max_size=12))
def test_above_and_below_take_turns(series: list[tuple[int, int]]) -> None:
    a, b = [x for x, _ in series], [y for _, y in series]
    above, below = crossings(a, b), crossings(a, b, "crosses_below")
    turns = [word for _, word in sorted([*((at, "above") for at in above), *((at, "below") for at in below)])]
    longest_tie = max((len(run) for run in "".join("=" if x == y else "x" for x, y in series).split("x")), default=0)
    if longest_tie < TIE_SESSIONS:
        assert all(first != second for first, second in pairwise(turns))
    assert all(a[at] > b[at] for at in above)
    assert all(a[at] < b[at] for at in below)


def test_the_tree_is_what_was_written() -> None:
    node = parse("crosses_above(close, previous(close)) and not volume * 2 > 3")
    assert isinstance(node, Logic)
    crossing, negated = node.parts
    assert isinstance(crossing, Crossing)
    assert isinstance(crossing.right, Previous)
    assert isinstance(negated, Logic)
    (comparison,) = negated.parts
    assert isinstance(comparison, Comparison)
    assert isinstance(comparison.left, Operation)
    assert isinstance(comparison.left.left, Name)
