"""Verdicts as they are stored: a row of `backtest_verdicts` for each run.

Lives here: storing one, and whether a run has one. Does not live here: the figures (`evidence`), the rules (`sentence`).
"""

from __future__ import annotations

import json

import polars as pl

from pipelines.backtest.verdict.figures import Evidence
from pipelines.backtest.verdict.sentence import conclude
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.upsert import replace_rows

_TABLE = "backtest_verdicts"


def store_verdict(lake: Lake, exchange: str, run_id: str, evidence: Evidence) -> None:
    """Store a run's verdict, and drop those of runs that are stored no more. The writer's lock is the caller's."""
    schema, verdict = TABLES[_TABLE], conclude(evidence)
    missing = {name: figure.missing for name, figure in evidence.figures.items() if figure.missing}
    row = {
        "run_id": run_id,
        "exchange": exchange,
        "verdict": verdict.kind,
        "sentence": verdict.sentence,
        **{name: evidence.value(name) for name in ("survivorship", "cost_share", "capacity", "shuffled_percentile")},
        "restated_rows": int(evidence.value("restated_rows") or 0),
        "peeks": len(evidence.peeks),
        "base_win_rate": evidence.base_win_rate,
        "base_return": evidence.base_return,
        "missing": json.dumps(missing, sort_keys=True),
    }
    runs = LakeTable(lake.table_uri(exchange, "backtest_runs"), TABLES["backtest_runs"]).read(columns=["run_id"])
    kept = runs.filter(pl.col("run_id") != run_id).get_column("run_id").to_list()
    frame = pl.DataFrame([row], schema=dict(empty_frame(schema).schema))
    replace_rows(lake, exchange, schema, frame, lambda stored: ~stored.get_column("run_id").is_in(kept), None, {"run": run_id})


def has_verdict(lake: Lake, exchange: str, run_id: str) -> bool:
    """Whether a run's verdict is stored."""
    table = LakeTable(lake.table_uri(exchange, _TABLE), TABLES[_TABLE])
    return run_id in table.read(columns=["run_id"]).get_column("run_id")
