"""A bar can be followed to its raw line, its delivery, the checks it passed, what it replaced and the release that has it."""

import gzip
import hashlib
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.ingest.bar_provenance import UnknownBarError, trace
from pipelines.ingest.suites import Suite, suite_hash
from pipelines.storage.raw import local_copy
from tests.support.suites import only_for

DAY = date(2024, 1, 2)
ARRIVED = datetime(2025, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def suite(request: pytest.FixtureRequest) -> Suite:
    """Great Expectations costs half a second a table: only where a test asks for the `gate`, and there for daily bars only."""
    return only_for({"bars_daily"} if "gate" in request.fixturenames else ())


@pytest.fixture
def gate() -> None:
    """The suite of daily bars is at work."""


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.usefixtures("gate")
def test_a_daily_bar_is_followed_to_its_line_its_checks_and_what_it_replaced(pipeline, bars_csv) -> None:
    first = pipeline.deliver("first.csv", bars_csv([("IBM", DAY, 1, 1, 1, 1, 1), ("AAPL", DAY, 10, 11, 9, 10, 100)]))
    second = pipeline.deliver(
        "second.csv", bars_csv([("AAPL", DAY, 10, 11, 9, 10.5, 100)]), received_at=ARRIVED + timedelta(days=1)
    )
    # Held: high below low. The same key, so it is told beside the bar.
    third = pipeline.deliver("third.csv", bars_csv([("AAPL", DAY, 10, 8, 9, 10, 100)]))
    for delivery in (first, second, third):
        pipeline.ingest(delivery)

    found = trace(pipeline.lake, "XNYS", "bars_daily", "aapl", "2024-01-02")

    assert found["row"]["close"] == 10.5
    assert (found["raw_file"]["name"], found["raw_file"]["row_number"]) == ("second.csv", 2)
    assert found["raw_file"]["line"] == "AAPL,2024-01-02,10,11,9,10.5,100"
    with local_copy(pipeline.lake, "XNYS", second.content_hash) as raw:
        assert found["raw_file"]["content_hash"] == hashlib.sha256(raw.read_bytes()).hexdigest()
    assert found["raw_file"]["received_at"] == ARRIVED + timedelta(days=1)
    assert found["checks"]["committed_version"] == pipeline.table("bars_daily").version()
    assert "range_is_possible" in found["checks"]["gate"]["expectations"]
    assert found["checks"]["gate"]["suite_hash"] == suite_hash("bars_daily")
    (old,) = found["superseded"]
    assert (old["close"], old["raw_file"], old["superseded_by"]) == (10.0, "first.csv, row 3", "second.csv")
    assert old["superseded_at"] == ARRIVED + timedelta(days=1)
    assert [(held["rule"], held["raw_file"]["name"]) for held in found["quarantine"]] == [("high_below_low", "third.csv")]
    assert found["release"] == {"first": "none yet: `marketlake nightly` publishes one"}


@pytest.mark.parametrize("when", ["2024-01-02T14:31:00Z", "2024-01-02T09:31", "2024-01-02T20:01:00+05:30"])
def test_a_minute_is_named_in_any_zone_and_without_one_in_the_exchange_s(pipeline, bars_csv, when) -> None:
    rows = [("AAPL", f"2024-01-02 09:{minute}", 10, 11, 9, 10, minute) for minute in (30, 31, 32)]
    pipeline.ingest(pipeline.deliver("m.csv.gz", gzip.compress(bars_csv(rows).encode(), mtime=0)))
    found = trace(pipeline.lake, "XNYS", "bars_1m", "XNYS:AAPL", when)
    assert (found["row"]["ts"], found["row"]["volume"]) == (datetime(2024, 1, 2, 14, 31, tzinfo=UTC), 31)
    assert found["raw_file"]["line"] == "AAPL,2024-01-02 09:31,10,11,9,10,31"


def test_a_row_of_parquet_is_shown_as_its_fields(pipeline, tmp_path) -> None:
    frame = pl.DataFrame({"symbol": ["A", "B"], "date": [DAY, DAY], **{c: [1.0, 2.0] for c in ("open", "high", "low", "close")}})
    frame.with_columns(volume=pl.lit(7)).write_parquet(tmp_path / "bars.parquet")
    pipeline.ingest(pipeline.deliver("bars.parquet", (tmp_path / "bars.parquet").read_bytes(), source="parquet"))
    line = trace(pipeline.lake, "XNYS", "bars_daily", "B", "2024-01-02")["raw_file"]["line"]
    assert '"symbol":"B"' in line
    assert '"close":2.0' in line


@pytest.mark.parametrize(
    ("table", "instrument", "when", "told"),
    [
        ("bars_dayly", "AAPL", "2024-01-02", "bars_dayly cannot be explained; near: bars_daily; the tables are"),
        ("bars_daily", "APPL", "2024-01-02", "XNYS has no instrument 'APPL'; near: AAPL"),
        ("bars_daily", "AAPL", "2024-01-03", "bars_daily has no bar of AAPL at 2024-01-03; near: 2024-01-02, 2024-01-05"),
        ("bars_daily", "AAPL", "2024-13-01", "'2024-13-01' is no key of bars_daily; write it as 2014-06-09"),
        ("bars_1m", "AAPL", "noon", "'noon' is no key of bars_1m; write it as 2014-06-09T13:30:00Z"),
    ],
)
def test_what_is_unknown_gets_the_nearest_suggested(pipeline, bars_csv, table, instrument, when, told) -> None:
    pipeline.ingest(pipeline.deliver("b.csv", bars_csv([("AAPL", day, 10, 11, 9, 10, 1) for day in (DAY, date(2024, 1, 5))])))
    with pytest.raises(UnknownBarError) as error:
        trace(pipeline.lake, "XNYS", table, instrument, when)
    assert str(error.value).startswith(told)
