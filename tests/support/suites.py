"""Suites to give to `Pipeline` or to the gate in place of the shipped ones, which take half a second a table.

Lives here: `no_expectations`, `only_for`.
Does not live here: the shipped suites (`pipelines/ingest/suites.py`) and their tests.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from pipelines.ingest.suites import ExpectationResult, Suite, run_suite


def no_expectations(table: str, figures: pl.DataFrame) -> tuple[ExpectationResult, ...]:
    """Expect nothing of any table."""
    return ()


def only_for(tables: Collection[str]) -> Suite:
    """Judge these tables by the shipped suites, others by none."""
    return lambda table, figures: run_suite(table, figures) if table in tables else ()
