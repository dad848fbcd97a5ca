"""Publishing into the lake: one commit, nothing lost, nothing touched that a delivery does not name."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.market.tables import TABLES
from pipelines.storage.delta import Change, LakeConflictError, LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.upsert import Published, append_new, publish, replace_rows

BARS = TABLES["bars_daily"]
PRIORITIES = {"csv": 10, "lean": 20}
DAY, NEXT, EARLIER = date(2024, 1, 2), date(2024, 1, 3), date(2023, 6, 1)
LATER = datetime(2025, 2, 1, tzinfo=UTC)

Daily = Callable[..., pl.DataFrame]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def put(lake: Lake, rows: pl.DataFrame, exchange: str = "XNYS") -> Published:
    batches = rows["batch_id"].unique().to_list()
    return publish(lake, exchange, BARS, rows, priorities=PRIORITIES, batches=batches)


def bars(lake: Lake, exchange: str = "XNYS", table: str = "bars_daily") -> LakeTable:
    return LakeTable(lake.table_uri(exchange, table), TABLES[table])


def closes(lake: Lake, exchange: str = "XNYS") -> list[tuple[str, date, float]]:
    return sorted(bars(lake, exchange).read().select("symbol", "session_date", "close").rows())


def test_the_same_rows_twice_make_no_second_version(lake: Lake, daily: Daily) -> None:
    first = put(lake, daily(("A", DAY, 10.0)))
    again = put(lake, daily(("A", DAY, 10.0), batch="b2"))
    assert (first.accepted, again.accepted, again.unchanged) == (1, 0, 1)
    assert again.version == first.version == bars(lake).version()


def test_an_empty_delivery_makes_no_table(lake: Lake, daily: Daily) -> None:
    assert put(lake, daily()).version is None
    assert bars(lake).version() is None


def test_a_restatement_keeps_what_it_replaces_and_doing_it_twice_adds_nothing(lake: Lake, daily: Daily) -> None:
    put(lake, daily(("A", DAY, 10.0)))
    correction = daily(("A", DAY, 11.0), batch="b2", received_at=LATER)
    done = put(lake, correction)
    assert (done.restated, done.changed["close"].to_list()) == (1, [11.0])
    put(lake, correction)
    kept = bars(lake, table="bars_daily_superseded")
    assert kept.read().select("close", "superseded_at", "superseded_by_batch").rows() == [(10.0, LATER, "b2")]
    assert kept.version() == 1


def test_an_older_delivery_that_is_published_again_does_not_undo_its_correction(lake: Lake, daily: Daily) -> None:
    old = daily(("A", DAY, 10.0), ("B", DAY, 20.0))
    put(lake, old)
    version = put(lake, daily(("A", DAY, 11.0), batch="b2", received_at=LATER)).version
    again = put(lake, old)
    assert (again.accepted, again.unchanged, again.restated, again.version) == (0, 2, 0, version)
    assert closes(lake) == [("A", DAY, 11.0), ("B", DAY, 20.0)]


def test_of_deliveries_that_alternate_the_latest_stands_and_every_turn_is_kept(lake: Lake, daily: Daily) -> None:
    first, second = daily(("A", DAY, 10.0)), daily(("A", DAY, 11.0), batch="b2")
    for turn, batch in enumerate([first, second, first, second, first]):
        arrived = LATER + timedelta(days=turn)
        put(lake, batch.with_columns(received_at=pl.lit(arrived, pl.Datetime("us", "UTC"))))
        assert closes(lake) == [("A", DAY, 10.0 if turn % 2 == 0 else 11.0)]
    kept = bars(lake, table="bars_daily_superseded").read().sort("superseded_at")
    assert kept["close"].to_list() == [10.0, 11.0, 10.0, 11.0]
    assert kept["superseded_at"].to_list() == [LATER + timedelta(days=n) for n in range(1, 5)]


def test_a_new_delivery_that_says_the_first_value_again_does_restate(lake: Lake, daily: Daily) -> None:
    put(lake, daily(("A", DAY, 10.0)))
    put(lake, daily(("A", DAY, 11.0), batch="b2", received_at=LATER))
    back = put(lake, daily(("A", DAY, 10.0), batch="b3", received_at=LATER + timedelta(days=1)))
    assert back.restated == 1
    assert bars(lake, table="bars_daily_superseded").read()["close"].sort().to_list() == [10.0, 11.0]


def test_an_untouched_year_keeps_its_files(lake: Lake, daily: Daily) -> None:
    version = put(lake, daily(("A", EARLIER, 9.0), ("A", DAY, 10.0))).version
    assert version is not None
    before = bars(lake).files(version, [2023])
    after = put(lake, daily(("A", NEXT, 11.0), batch="b2")).version
    assert after == version + 1
    assert bars(lake).files(after, [2023]) == before


def test_another_exchange_s_rows_are_never_touched(lake: Lake, daily: Daily) -> None:
    put(lake, daily(("A", DAY, 10.0), exchange="XNSE"), "XNSE")
    put(lake, daily(("A", DAY, 20.0)))
    version = bars(lake, "XNSE").version()
    put(lake, daily(("A", DAY, 30.0), batch="b2", received_at=LATER))
    replace_rows(lake, "XNYS", BARS, daily(), lambda stored: stored["session_date"] == DAY, [2024], {})
    assert closes(lake) == []
    assert closes(lake, "XNSE") == [("A", DAY, 10.0)]
    assert bars(lake, "XNSE").version() == version


def test_rows_lie_sorted_in_their_file(lake: Lake, daily: Daily) -> None:
    version = put(lake, daily(("B", NEXT, 1.0), ("A", NEXT, 2.0), ("B", DAY, 3.0), ("A", DAY, 4.0))).version
    (file,) = bars(lake).files(version or 0)
    assert pl.read_parquet(file)["close"].to_list() == [4.0, 2.0, 3.0, 1.0]


def test_appending_the_same_keys_twice_adds_nothing(lake: Lake) -> None:
    schema = TABLES["scanner_runs"]
    row = {"scanner_name": "s", "as_of_ts": LATER, "mode": "nightly", "exchange": "XNYS", "session_date": DAY}
    frame = pl.DataFrame([row]).with_columns(as_of_ts=pl.col("as_of_ts").cast(pl.Datetime("us", "UTC")))
    types = {f.name: f.type for f in schema.arrow()}
    empty = pl.from_arrow(schema.arrow().empty_table())
    assert isinstance(empty, pl.DataFrame)
    rows = frame.select(
        (pl.col(n) if n in row else pl.lit("x" if t == "string" else 1)).cast(empty.schema[n]).alias(n) for n, t in types.items()
    )
    first = append_new(lake, "XNYS", schema, rows, {})
    assert append_new(lake, "XNYS", schema, rows, {}) == first


def test_replacing_by_equal_rows_writes_nothing(lake: Lake, daily: Daily) -> None:
    rows = daily(("A", DAY, 10.0), ("A", EARLIER, 9.0)).drop("received_at")

    def everything(stored: pl.DataFrame) -> pl.Series:
        return stored["symbol"] == "A"

    first = replace_rows(lake, "XNYS", BARS, rows, everything, [2023, 2024], {})
    assert replace_rows(lake, "XNYS", BARS, rows.reverse(), everything, [2023, 2024], {}) == first
    changed = rows.with_columns(close=pl.when(pl.col("session_date") == DAY).then(11.0).otherwise("close"))
    second = replace_rows(lake, "XNYS", BARS, changed, everything, [2023, 2024], {})
    assert second == (first or 0) + 1
    assert bars(lake).files(second, [2023]) == bars(lake).files(first or 0, [2023])


def test_a_table_made_by_another_writer_in_between_is_not_overwritten(lake: Lake, daily: Daily) -> None:
    """The base of this writer's decision is `no table`; by the time it commits there is one, with a row in the same partition."""
    rival = daily(("B", DAY, 20.0))
    mine = daily(("A", DAY, 10.0))
    calls = []

    def decide(read: Callable[..., pl.DataFrame]) -> Change:
        stored = read([2024])
        calls.append(stored.height)
        if len(calls) == 1:
            put(lake, rival)
        return Change(pl.concat([stored, mine.select(BARS.names)]), [2024])

    bars(lake).update(decide, {})
    assert calls == [0, 1]
    assert closes(lake) == [("A", DAY, 10.0), ("B", DAY, 20.0)]


def test_a_faster_writer_makes_this_one_decide_again(lake: Lake, daily: Daily) -> None:
    put(lake, daily(("A", DAY, 10.0)))
    calls = []

    def decide(read: Callable[..., pl.DataFrame]) -> Change:
        stored = read([2024])
        calls.append(stored.height)
        if len(calls) == 1:
            put(lake, daily(("B", DAY, 20.0), batch="b2"))
        return Change(pl.concat([stored, daily(("C", DAY, 30.0)).select(BARS.names)]), [2024])

    bars(lake).update(decide, {})
    assert calls == [1, 2]
    assert [row[0] for row in closes(lake)] == ["A", "B", "C"]


@pytest.mark.slow
@pytest.mark.measured
def test_a_writer_that_always_loses_says_so(lake: Lake, daily: Daily) -> None:
    put(lake, daily(("A", DAY, 1.0)))
    rounds = iter(range(1, 100))

    def decide(read: Callable[..., pl.DataFrame]) -> Change:
        stored = read([2024])
        put(lake, daily(("A", DAY, 1.0 + next(rounds)), batch=f"r{stored['close'][0]}"))
        return Change(stored, [2024])

    with pytest.raises(LakeConflictError, match="another writer was faster 20 times"):
        bars(lake).update(decide, {})


_WRITER = """
import sys
from datetime import UTC, date, datetime
import polars as pl
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.upsert import publish

root, name, months, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
schema = TABLES["bars_daily"]
for number in range(count):
    day = date(2020 + (number % months), 1, 2)
    row = {"exchange": "XNYS", "instrument_id": f"XNYS:{name}{number}", "session_date": day, "symbol": f"{name}{number}",
           "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1, "source": "csv", "batch_id": f"{name}{number}",
           "known_at": datetime(2024, 1, 1, tzinfo=UTC), "row_number": 1, "session_year": day.year}
    frame = pl.DataFrame([row], schema=dict(empty_frame(schema).schema)).with_columns(received_at=pl.col("known_at"))
    publish(Lake(root), "XNYS", schema, frame, priorities={}, batches=[name])
"""


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("years", [1, 4], ids=["same partition", "several partitions"])
def test_two_processes_at_once_lose_nothing(lake: Lake, years: int) -> None:
    """From the very first commit on: both find no table when they start."""
    each = 6
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, lake.root, name, str(years), str(each)], env=environment)
        for name in ("L", "R")
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    assert sorted(row[0] for row in closes(lake)) == sorted(f"{name}{n}" for name in "LR" for n in range(each))
