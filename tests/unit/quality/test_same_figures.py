"""Figures mean the same whichever source wrote them, so that copies are copies."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.ingest.requests import replay_request
from pipelines.sources.csv import CsvSource
from pipelines.sources.protocol import ParseOptions, RawFile, SourceError

HEAD = "symbol,date,open,high,low,close,volume,turnover,trades,prev_close,delivery_qty\n"


def test_zeros_that_mean_missing_are_null_in_every_source(pipeline) -> None:
    rows = "".join(f"S{n},2024-01-03,10,11,9,10,100,0,0,0,0\n" for n in range(12))
    idle = "IDLE,2024-01-03,10,10,10,10,0,0,0,9,0\n"
    bars = pipeline.stage(pipeline.deliver("panel.csv", HEAD + rows + idle)).tables["bars_daily"].sort("symbol")
    assert bars["turnover"].to_list() == [0.0, *[None] * 12]
    assert bars["trades"].to_list() == [0, *[None] * 12]
    assert bars["prev_close"].to_list() == [9.0, *[None] * 12]
    assert bars["delivery_qty"].null_count() == 13


def test_a_share_without_deliveries_on_a_day_has_none(pipeline) -> None:
    one = pipeline.deliver("one.csv", HEAD + "S1,2024-01-03,10,11,9,10,100,1000,5,9,0\n")
    assert pipeline.stage(one).tables["bars_daily"]["delivery_qty"].to_list() == [0]


@pytest.mark.parametrize("second", ["0.53,5,9,40", "52500,0,0,40", "52500,5,9,", "0,0,0,"])
def test_copies_that_differ_by_a_unit_or_by_empty_zeros_are_duplicates(pipeline, second: str) -> None:
    text = HEAD + "S1,2024-01-03,10,11,9,10,5250,52500,5,9,40\n" + f"S1,2024-01-03,10,11,9,10,5250,{second}\n"
    staged = pipeline.stage(pipeline.deliver("panel.csv", text, mic="XNSE"))
    assert staged.counts["bars_daily"].duplicates == 1
    assert staged.quarantine.is_empty()
    (bar,) = staged.tables["bars_daily"].to_dicts()
    assert (bar["turnover"], bar["trades"], bar["prev_close"], bar["delivery_qty"]) == (52500, 5, 9, 40)


@pytest.mark.slow
@pytest.mark.measured
def test_a_replay_of_deliveries_that_alternated_changes_nothing(pipeline, bars_csv) -> None:
    def deliver(close: int, hour: int):
        arrived = datetime(2025, 3, 1, hour, tzinfo=UTC)
        return pipeline.deliver("day.csv", bars_csv([("A", "2024-01-03", 10, 30, 9, close, 5)]), received_at=arrived)

    for hour, close in enumerate([11, 12, 11]):
        pipeline.ingest(deliver(close, hour))
        assert pipeline.rows("bars_daily")["close"].to_list() == [close]
    order = replay_request(pipeline.lake, "XNYS", [date(2024, 1, 3)])
    figures = pipeline.ingest(*order.deliveries, sessions=order.sessions)["bars_daily"]
    assert figures == {"read": 2, "accepted": 0, "unchanged": 1, "restated": 0, "duplicates": 1, "quarantined": 0}
    assert pipeline.rows("bars_daily")["close"].to_list() == [11]


def _refused(tmp_path, text: str) -> bool:
    (tmp_path / "f").write_text(text)
    try:
        CsvSource().parse(RawFile(tmp_path / "f", "f.csv", ""), ParseOptions("XNYS", "America/New_York"))
    except SourceError as error:
        return "stops in the middle" in str(error)
    return False


def test_a_file_cut_within_its_last_number_is_noticed_where_the_decimals_tell(tmp_path) -> None:
    rows = [f"2024-01-{day:02},1,2,10{day}.50" for day in (2, 3, 4, 5, 8, 9, 10)]
    whole = "\n".join(["date,open,high,low,close", *(row.replace(",1,2,", ",100,999,1,") for row in rows)])
    assert not _refused(tmp_path, whole)
    assert [_refused(tmp_path, whole[:-cut]) for cut in (1, 2, 3, 4)] == [True] * 4
    assert not _refused(tmp_path, whole + "\n")
    counts = "\n".join(["date,open,high,low,close,volume", *(f"2024-01-{day:02},1,2,1,2,{day}00" for day in (2, 3, 4, 5, 8, 9))])
    assert not _refused(tmp_path, counts)


def test_the_unit_of_turnover_is_told_by_volume_and_close() -> None:
    from pipelines.ingest.staging_columns import in_currency_units

    frame = pl.DataFrame({"turnover": [1000.0, 0.01, 0.0001, None, 5.0], "volume": [100.0] * 5, "close": [10.0] * 5})
    assert in_currency_units(frame, "INR")["turnover"].to_list() == [1000.0, 1000.0, 1000.0, None, 5.0]
    assert in_currency_units(frame, "USD").equals(frame)
