"""Swing points as the compiled text finds them: those of the definition, and none that needs a bar later than it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.scanners.registry import load_scanners

#: high, low of one session, in ticks; few values, so that ties are common.
Bars = list[tuple[int, int]]
Point = tuple[str, int, int]
Find = Callable[[Bars, int], set[Point]]

_RELATIONS = """
create schema scan;
create schema staging;
create schema intermediate;
create table scan.params (scanner_name varchar, name varchar, value double, choice varchar);
create table scan.moments (scanners varchar[], exchange varchar, session_number bigint);
create table staging.stg_sessions (
    exchange varchar, session_date date, session_number bigint, regular_before bigint, kind varchar
);
create table intermediate.int_basis_spans (
    instrument_id varchar, bar_from date, bar_before date, moment_from date, moment_before date, price_factor double,
    known_at timestamptz
);
create table intermediate.int_bars_daily_scope (
    exchange varchar, instrument_id varchar, session_date date, session_number bigint, is_regular boolean, regular_before bigint,
    high double, low double, known_at timestamptz
);
"""


@pytest.fixture(scope="module")
def find(dbt_manifest: Path) -> Iterator[Find]:
    """`find(bars, strength)`: kind, number of the point and of the session that confirms it. Session 4 is a special one."""
    text = load_scanners(dbt_manifest / "manifest.json").models["intermediate.int_swing_points"].sql
    with duckdb.connect() as connection:
        connection.execute(_RELATIONS)

        def points(bars: Bars, strength: int) -> set[Point]:
            for table in ("scan.params", "scan.moments", "staging.stg_sessions", "intermediate.int_bars_daily_scope"):
                connection.execute(f"delete from {table}")
            connection.execute("insert into scan.params values ('swing_structure', 'strength', ?, null)", [strength])
            connection.execute("insert into scan.moments values (null, 'X', ?)", [len(bars) - 1])
            connection.execute(
                """
                insert into staging.stg_sessions
                select 'X', date '2024-01-01' + cast(n as integer), n, n - if(n > 4, 1, 0), if(n = 4, 'special', 'regular')
                from range(?) as numbers (n)
                """,
                [len(bars)],
            )
            connection.executemany(
                """
                insert into intermediate.int_bars_daily_scope
                select
                    exchange, 'A', session_date, session_number, kind = 'regular', regular_before, ?, ?,
                    timestamptz '2024-01-01 00:00Z'
                from staging.stg_sessions where session_number = ?
                """,
                [(high / 20, low / 20, n) for n, (high, low) in enumerate(bars)],
            )
            return set(connection.sql(f"select kind, session_number, confirmed_number from ({text})").fetchall())

        yield points


def _by_definition(bars: Bars, strength: int) -> set[Point]:
    numbers = [n for n in range(len(bars)) if n != 4]
    found = set()
    for i in range(strength, len(numbers) - strength):
        around = [bars[n] for n in (*numbers[i - strength : i], *numbers[i + 1 : i + strength + 1])]
        high, low = bars[numbers[i]]
        if high > max(h for h, _ in around):
            found.add(("high", numbers[i], numbers[i + strength]))
        if low < min(low_ for _, low_ in around):
            found.add(("low", numbers[i], numbers[i + strength]))
    return found


_sessions = st.lists(st.tuples(st.integers(2000, 2008), st.integers(1990, 1998)), min_size=8, max_size=25)
_few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_few
@given(bars=_sessions, strength=st.integers(1, 4))
def test_points_are_those_of_the_definition(find: Find, bars: Bars, strength: int) -> None:
    assert find(bars, strength) == _by_definition(bars, strength)


@pytest.mark.slow
@pytest.mark.measured
@_few
@given(bars=_sessions, strength=st.integers(1, 4), data=st.data())
def test_what_comes_after_the_confirming_session_changes_nothing(
    find: Find, bars: Bars, strength: int, data: st.DataObject
) -> None:
    known = data.draw(st.integers(5, len(bars) - 1))
    spoiled = [*bars[: known + 1], *[(9000, 1)] * (len(bars) - known - 1)]
    by_then = {point for point in find(bars, strength) if point[2] <= known}

    assert find(bars[: known + 1], strength) == by_then
    assert {point for point in find(spoiled, strength) if point[2] <= known} == by_then


@pytest.mark.parametrize(
    ("highs", "expected"),
    [
        ([10, 11, 12, 11, 99, 10, 9], {("high", 2, 5)}),
        ([10, 11, 12, 12, 99, 10, 9], set()),
        ([10, 11, 12, 11], set()),
    ],
    ids=["the special session four neither tops nor counts", "two equal highs make none", "not confirmed yet"],
)
def test_swing_highs_drawn_by_hand(find: Find, highs: Sequence[int], expected: set[Point]) -> None:
    bars = [(high + 100, 50) for high in highs]
    assert {point for point in find(bars, 2) if point[0] == "high"} == expected
