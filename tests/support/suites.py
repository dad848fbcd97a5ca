"""Suites to give to `Pipeline` or to the gate: the shipped ones, asked once for the same figures, and what stands in for them.

A shipped suite takes half a second a table, and most tests of a module prepare their lake by the same deliveries.

Lives here: suites to give to `Pipeline` or to the gate.
Does not live here: the shipped suites (`pipelines/ingest/suites.py`) and their tests.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from io import BytesIO

import polars as pl

from pipelines.ingest.suites import ExpectationResult, Suite, run_suite, suite_hash


def asked_once(suite: Suite) -> Suite:
    """The same suite, asked once a process for the same figures: its result follows from them and from the suite's file alone."""
    known: dict[tuple[str, str, str], tuple[ExpectationResult, ...]] = {}

    def judge(table: str, figures: pl.DataFrame) -> tuple[ExpectationResult, ...]:
        content = BytesIO()
        figures.write_ipc(content)
        asked = (table, suite_hash(table), sha256(content.getvalue()).hexdigest())
        if asked not in known:
            known[asked] = suite(table, figures)
        return known[asked]

    return judge


#: The suites as they ship.
shipped_suites = asked_once(run_suite)


def no_expectations(table: str, figures: pl.DataFrame) -> tuple[ExpectationResult, ...]:
    """Expect nothing of any table."""
    return ()


def only_for(tables: Collection[str]) -> Suite:
    """Judge these tables by the shipped suites, others by none."""
    return lambda table, figures: shipped_suites(table, figures) if table in tables else ()
