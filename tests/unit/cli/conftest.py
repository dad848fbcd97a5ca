"""What tests of several commands share.

Lives here: `released`, a home with a release that needed no run.
Does not live here: the command itself, `marketlake`, and `home` (`tests/conftest.py`).
"""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.market.tables import TABLES
from pipelines.settings import Settings
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.releases import record_release
from pipelines.storage.upsert import publish

DAY = date(2024, 1, 2)


@pytest.fixture
def released(home: Settings) -> Settings:
    """A home that released one bar of one instrument."""
    lake, known = Lake(home.lake_root), datetime(2024, 1, 2, 21, tzinfo=UTC)
    same = {"exchange": "XNYS", "instrument_id": "XNYS:A", "symbol": "A", "source": "csv", "batch_id": "b1", "row_number": 1}
    prices = dict.fromkeys(("open", "high", "low", "close"), 10.0)
    bar = {**same, **prices, "session_date": DAY, "volume": 100, "known_at": known, "session_year": 2024}
    listing = {**same, "valid_from": DAY, "tick_size": 0.01, "lot_size": 1, "is_active": True, "known_at": known}
    versions = {}
    for name, row in (("bars_daily", bar), ("instruments", listing)):
        table = LakeTable(lake.table_uri("XNYS", name), TABLES[name])
        rows = pl.DataFrame([row], schema=dict(empty_frame(TABLES[name]).schema)).with_columns(received_at=pl.lit(known))
        publish(lake, "XNYS", TABLES[name], rows, priorities={}, batches=["b1"])
        versions[name] = table.version() or 0
    record_release(lake, "XNYS", versions, code_version="1", config={}, sessions=[])
    return home
