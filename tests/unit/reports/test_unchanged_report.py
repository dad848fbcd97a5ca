"""A risk report stands only as it was left: another file, none, or other rows of risk_var have it made again."""

from datetime import date
from pathlib import Path

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.reports.file_names import report_name
from pipelines.reports.nightly_reports import hash_report
from pipelines.settings import Settings
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.step_records import StepRecord


def test_a_report_that_was_altered_or_deleted_or_whose_rows_changed_is_not_the_one_on_record(
    home: Settings, tmp_path: Path
) -> None:
    lake, page = Lake.from_settings(home), tmp_path / report_name("XNYS", "breakout_20d")
    page.write_text("as drawn")
    record = StepRecord.of(home.state_dir, "XNYS", "risk_report")
    record.write("made of", hash_report(lake, "XNYS", "breakout_20d", tmp_path))

    def stands() -> bool:
        return record.holds("made of", hash_report(lake, "XNYS", "breakout_20d", tmp_path))

    assert stands()
    page.write_text("altered")
    assert not stands()
    page.unlink()
    assert not stands()
    page.write_text("as drawn")
    assert stands()
    schema = TABLES["risk_var"]
    key = {"portfolio": ["XNYS:breakout_20d"], "session_date": [date(2024, 1, 2)], "method": ["historical"], "confidence": [0.95]}
    rows = pl.concat([empty_frame(schema), pl.DataFrame(key)], how="diagonal")
    LakeTable(lake.table_uri("XNYS", "risk_var"), schema).append(rows, {})
    assert not stands()
