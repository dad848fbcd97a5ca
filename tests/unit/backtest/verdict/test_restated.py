"""Rows that replaced others, counted once each."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from pipelines.backtest.verdict.restated import count_restated
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake

MIC = "XNYS"


def replaced(day: date, hour: int) -> dict[str, object]:
    schema = TABLES["bars_daily_superseded"]
    row: dict[str, object] = {
        "exchange": MIC, "instrument_id": f"{MIC}:A", "symbol": "A", "session_date": day,
        "session_year": day.year, "open": 1.0, "high": 1.0, "low": 1.0,
        "close": 1.0, "volume": 1, "source": "csv", "known_at": datetime(2024, 1, 1, tzinfo=UTC), "batch_id": "b", "row_number": 1,
        "superseded_at": datetime(2024, 2, 1, hour, tzinfo=UTC), "superseded_by_batch": f"c{hour}",
    }  # fmt: skip
    return {name: row.get(name) for name in schema.names}


def test_a_row_restated_twice_counts_once_and_only_within_the_run(tmp_path: Path) -> None:
    lake, schema = Lake(str(tmp_path)), TABLES["bars_daily_superseded"]
    rows = [replaced(date(2024, 1, 2), 1), replaced(date(2024, 1, 2), 2), replaced(date(2024, 1, 9), 1)]
    frame = pl.DataFrame(rows, schema=dict(empty_frame(schema).schema))
    version = LakeTable(lake.table_uri(MIC, schema.name), schema).append(frame, {})
    counts = count_restated(lake, MIC, {schema.name: version}, date(2024, 1, 1), date(2024, 1, 5))
    assert counts == {"bars_daily": 1, "corporate_actions": 0, "scanner_signals": 0}
    # The release pins what it knew: without the table there, nothing was restated for it.
    assert count_restated(lake, MIC, {}, date(2024, 1, 1), date(2024, 1, 5))["bars_daily"] == 0
