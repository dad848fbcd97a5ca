"""How DuckDB rounds what scanners publish: stored rows must equal rows that are worked out again."""

import duckdb
import pytest


@pytest.mark.parametrize(
    ("value", "digits", "rounded"),
    [
        # The nearest double lies below the tie; its product with the power of ten is the tie itself.
        (0.5453125, 6, 0.545313),
        (1.00005, 4, 1.0001),
        (2.00015, 4, 2.0002),
        # Away from zero on both sides.
        (-0.5453125, 6, -0.545313),
        (0.5, 0, 1.0),
        (-2.5, 0, -3.0),
    ],
)
def test_ties_are_rounded_as_in_the_rows_that_are_stored(value: float, digits: int, rounded: float) -> None:
    assert duckdb.execute("select round(?::double, ?::integer)", [value, digits]).fetchone() == (rounded,), (
        "this release of DuckDB rounds ties otherwise: signals worked out anew would differ from stored ones (docs/upgrades.md)"
    )
