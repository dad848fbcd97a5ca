"""Stored backtests for commands: which there are, which one is meant, and what parts two of them.

Lives here: reading `backtest_runs`, and the differences of two rows.
Does not live here: how they print (`backtest.py`).
"""

from __future__ import annotations

import json
from typing import Any

from pipelines.cli.console import USAGE, fail
from pipelines.cli.options import configured, read_settings

#: Columns that say nothing of a strategy, and so are no difference between two runs.
_OWN = ("run_id", "execution_time_seconds", "release_id", "config_snapshot")


def stored_runs(exchange: str | None) -> list[dict[str, Any]]:
    """Rows of backtest_runs, by strategy and first session."""
    from pipelines.market.tables import TABLES
    from pipelines.storage.delta import LakeTable
    from pipelines.storage.location import Lake

    settings = read_settings()
    lake = Lake.from_settings(settings)
    rows: list[dict[str, Any]] = []
    for mic in [configured(settings, exchange)] if exchange else settings.exchanges:
        rows += LakeTable(lake.table_uri(mic, "backtest_runs"), TABLES["backtest_runs"]).read().to_dicts()
    return sorted(rows, key=lambda row: (row["algorithm_name"], row["scanner_used"], row["start_date"], row["run_id"]))


def find_run(stored: list[dict[str, Any]], run: str) -> dict[str, Any]:
    """The run whose id this is, or begins so; another text ends the command."""
    found = [row for row in stored if row["run_id"].startswith(run)] if run else []
    if len(found) != 1:
        fail(f"{run!r} begins {len(found) or 'no'} run{'s' * (len(found) != 1)}; `marketlake backtest list` names them", USAGE)
    return found[0]


def differences(left: dict[str, Any], right: dict[str, Any]) -> tuple[list[list[Any]], list[list[Any]]]:
    """(figures, keys of the configuration) that differ between two runs, each with both values."""
    figures = [[name, left[name], right[name]] for name in left if name not in _OWN and left[name] != right[name]]
    configurations = [_flat(json.loads(row["config_snapshot"])) for row in (left, right)]
    keys = sorted({*configurations[0], *configurations[1]})
    every = [[key, *(each.get(key) for each in configurations)] for key in keys]
    return figures, [row for row in every if row[1] != row[2]]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    if not isinstance(value, dict):
        return {prefix: value}
    inner = [_flat(each, f"{prefix}.{key}" if prefix else key) for key, each in value.items()]
    return {key: each for part in inner for key, each in part.items()}
