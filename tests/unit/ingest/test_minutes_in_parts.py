"""An order of more minutes than fit in memory: it goes through in parts, and what comes out is what comes out of one part."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from pipelines.ingest.arrivals import collect
from pipelines.ingest.batches import batch_rows, current_folder
from pipelines.ingest.dry_run import run_dry
from pipelines.ingest.gate import GateNotPassedError
from pipelines.ingest.publish import publish_staged
from pipelines.market.tables import TABLES
from pipelines.sources.registry import load_sources, source
from pipelines.storage import row_parts
from pipelines.storage.data_files import DataFiles
from pipelines.storage.integrity import MARK
from pipelines.storage.row_parts import SessionSorter
from tests.support.pipeline import ARRIVED, Pipeline, make_home

SESSIONS = [date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9, 10, 11)]
EARLIER, LATER = datetime(2025, 2, 1, 12, tzinfo=UTC), datetime(2025, 3, 2, 12, tzinfo=UTC)
MINUTES = 60


def price(symbol: str, number: int, minute: int) -> float:
    """No two sessions are alike, and none is far from the one before."""
    return round(100 + 7 * len(symbol) + number + ((minute * 37 + number * 11 + ord(symbol[0])) % 19) / 10, 2)


def minutes(symbol: str, numbers: range, *, start: str = "09:30", factor: float = 1.0) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for number in numbers:
        opened = datetime.fromisoformat(f"{SESSIONS[number]} {start}")
        for minute in range(MINUTES):
            close = price(symbol, number, minute) * factor
            rows.append((symbol, opened + timedelta(minutes=minute), close, close + 1, close - 1, close, 100 + minute * number))
    return rows


def files(bars_csv: Callable[..., str]) -> dict[str, str]:
    """Whole histories by symbol, a session that its gate refuses, hours outside the session, and rows of bad kinds."""
    every = range(len(SESSIONS))
    bad = minutes("EEEE", every)
    bad[70] = (*bad[70][:2], 100, 90, 110, 100, 5)  # high below low, in the second session
    bad[200] = (*bad[200][:2], -1, 90, 80, 85, 5)
    refused = [row if row[1].date() != SESSIONS[3] or row[1].minute != 59 else (*row[:2], *[row[2] * 100] * 4, 1) for row in bad]
    twice = minutes("BBB", range(2, 4))
    twice[5] = (*twice[5][:6], 999_999)  # contradicts the same minute of bbb.csv: neither is believed
    return {
        "aa.csv": bars_csv(minutes("AA", every)),
        "bbb.csv": bars_csv(minutes("BBB", every)),
        "bbb_again.csv": bars_csv(twice),
        "cccc.csv": bars_csv([*minutes("CCCC", every), *minutes("CCCC", range(3), start="16:30")]),
        "eeee.csv": bars_csv(refused),
        # The fifth session is the fourth one again.
        "ff.csv": bars_csv(
            [*minutes("FF", range(4)), *((r[0], r[1] + timedelta(days=3), *r[2:]) for r in minutes("FF", range(3, 4)))]
        ),
        "daily.csv": bars_csv([("AA", day, 110, 120, 90, 110 + n / 10, 9_000) for n, day in enumerate(SESSIONS)]),
    }


def load(pipeline: Pipeline, bars_csv: Callable[..., str]) -> list[dict[str, dict[str, int]]]:
    """Some minutes delivered before, then everything, which restates some of them, then everything again."""
    old = minutes("AA", range(1, 3))
    old[3] = (*old[3][:6], 77)
    before = pipeline.deliver("before.csv", bars_csv(old), received_at=EARLIER)
    texts = files(bars_csv)
    figures = [pipeline.ingest(before)]
    for at in (ARRIVED, LATER):
        figures.append(pipeline.ingest(*(pipeline.deliver(name, text, received_at=at) for name, text in texts.items())))
    return figures


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bars_csv, suite) -> tuple[Any, Any, Pipeline, Pipeline]:
    """The figures of both ways and the homes that they filled: all minutes in one part, and a part a session."""
    one = Pipeline(make_home(tmp_path / "one", monkeypatch), suite)
    figures = load(one, bars_csv)
    assert len(batch_rows(current_folder(one.settings.state_dir, "XNYS"), "bars_1m")) == 1
    monkeypatch.setattr(row_parts, "PART_ROWS", 4 * MINUTES)
    many = Pipeline(make_home(tmp_path / "many", monkeypatch), suite)
    others = load(many, bars_csv)
    assert len(batch_rows(current_folder(many.settings.state_dir, "XNYS"), "bars_1m")) == len(SESSIONS) - 1  # one is refused whole
    return figures, others, one, many


@pytest.mark.slow
@pytest.mark.measured
def test_parts_change_no_figure_no_row_and_no_file(homes) -> None:
    figures, others, one, many = homes
    assert others == figures
    first, again = figures[1:]
    assert first["bars_1m"]["restated"] == 1
    assert first["bars_1m"]["duplicates"] > 0
    assert again["bars_1m"]["accepted"] == again["bars_1m"]["restated"] == 0
    assert {rule for _, rule in one.quarantined()} >= {"conflicting_duplicate", "high_below_low", "stale_session"}
    assert any(rule.startswith("session_refused:") for _, rule in one.quarantined())
    for name in TABLES:
        ours, theirs = one.rows(name), many.rows(name)
        assert ours.equals(theirs, null_equal=True), name
        version = one.table(name).version()
        assert version == many.table(name).version(), name
        if version is not None:
            names = [[file.rpartition("/")[2] for file in pipeline.table(name).files(version)] for pipeline in (one, many)]
            assert names[0] == names[1], name


@pytest.mark.slow
@pytest.mark.measured
def test_every_file_of_the_parts_has_its_checksum(homes) -> None:
    *_, many = homes
    table = many.table("bars_1m")
    entries = {int(str(entry["version"])): entry for entry in table.scan_versions()}
    for version in range(1, table.version() + 1):
        files = table.data_files(version)
        assert [file.name for file in files if file.checksum is None] == []
        assert table.require_intact(version) == len(files)
        # The mark of a commit counts the files that it adds.
        added = {file.name for file in files} - {file.name for file in table.data_files(version - 1)}
        assert str(entries[version][MARK]).startswith(f"{len(added)} files, sha256 ")
    assert len(table.data_files(table.version())) > 2


@pytest.mark.slow
@pytest.mark.measured
def test_nothing_of_the_parts_stays_behind(homes) -> None:
    *_, many = homes
    assert not list(many.settings.state_dir.rglob("run-*.parquet"))
    assert not list(many.settings.state_dir.rglob(".scratch"))


@pytest.mark.slow
@pytest.mark.measured
def test_a_dry_run_in_parts_says_what_an_ingest_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bars_csv, pipeline) -> None:
    folder = tmp_path / "vendor"
    folder.mkdir()
    for name, text in files(bars_csv).items():
        (folder / name).write_text(text)
    found = collect(pipeline.lake, "XNYS", [folder], source("csv"), received_at=ARRIVED, store=False)
    whole = run_dry(pipeline.lake, found.order, load_sources(), found.paths, pipeline.limits)
    monkeypatch.setattr(row_parts, "PART_ROWS", 4 * MINUTES)
    assert run_dry(pipeline.lake, found.order, load_sources(), found.paths, pipeline.limits) == whole


def test_a_pass_does_not_cover_a_part_that_changed_after_it(monkeypatch: pytest.MonkeyPatch, bars_csv, pipeline) -> None:
    monkeypatch.setattr(row_parts, "PART_ROWS", 4 * MINUTES)
    pipeline.ingest(pipeline.deliver("aa.csv", bars_csv(minutes("AA", range(len(SESSIONS))))))
    folder = current_folder(pipeline.settings.state_dir, "XNYS")
    file = batch_rows(folder, "bars_1m").files[-1]
    pl.read_parquet(file).with_columns(pl.col("close") + 0.5).write_parquet(file)
    with pytest.raises(GateNotPassedError):
        publish_staged(pipeline.lake, "XNYS", "bars_1m", folder, pipeline.settings.state_dir, {"csv": 10})


@pytest.mark.slow
@pytest.mark.measured
def test_a_fault_between_two_parts_publishes_neither(monkeypatch: pytest.MonkeyPatch, bars_csv, pipeline) -> None:
    monkeypatch.setattr(row_parts, "PART_ROWS", 4 * MINUTES)
    pipeline.ingest(pipeline.deliver("aa.csv", bars_csv(minutes("AA", range(2)))))
    version, rows = pipeline.table("bars_1m").version(), pipeline.rows("bars_1m")
    delivery = pipeline.deliver("aa.csv", bars_csv(minutes("AA", range(len(SESSIONS)), factor=1.01)), received_at=LATER)
    folder = pipeline.table("bars_1m").uri
    before = sorted(Path(folder).rglob("*.parquet"))
    write = DataFiles.write

    def write_some(files: DataFiles, rows: pa.Table, partition: date | int | None) -> None:
        if partition == SESSIONS[5]:
            raise OSError("the disk is full")
        write(files, rows, partition)

    monkeypatch.setattr(DataFiles, "write", write_some)
    with pytest.raises(OSError, match="full"):
        pipeline.ingest(delivery)
    monkeypatch.undo()
    assert pipeline.table("bars_1m").version() == version
    assert pipeline.rows("bars_1m").equals(rows)
    assert sorted(Path(folder).rglob("*.parquet")) == before


def rows_of(batch: str, symbol: str, moments: list[datetime | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {"batch_id": batch, "symbol": symbol, "ts": pl.Series(moments, dtype=pl.Datetime("us", "UTC")), "n": range(len(moments))}
    )


def test_rows_come_out_by_session_in_the_order_in_which_they_went_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(row_parts, "PART_ROWS", 3)
    first, second = datetime(2024, 1, 2, 15, tzinfo=UTC), datetime(2024, 1, 3, 15, tzinfo=UTC)
    sorter = SessionSorter(rows_of("", "", []).schema, pl.col("ts").dt.date(), tmp_path)
    sorter.add(rows_of("a", "X", [second, None, first, second]))
    sorter.add(rows_of("b", "Y", [first, second]))
    sorter.add(rows_of("c", "Z", [first, first]))
    sorter.finish()
    parts = [part.select("batch_id", "n").rows() for part in sorter.parts()]
    assert parts == [[("a", 1), ("a", 2), ("b", 0), ("c", 0), ("c", 1)], [("a", 0), ("a", 3), ("b", 1)]]
    left = [part.select("batch_id", "n").rows() for part in sorter.without(["b"]).parts(["batch_id", "n"])]
    assert left == [[("a", 1), ("a", 2), ("c", 0), ("c", 1)], [("a", 0), ("a", 3)]]
    assert sorter.counted().select(pl.col("rows").sum()).item() == 8
