"""Files made, or damaged, to do harm: each is refused in one line, in bounded memory, and the others of a delivery go on."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.settings import Settings
from pipelines.sources.limits import Limits, configured_limits
from pipelines.sources.protocol import FRAME_SCHEMAS, ParsedTable, ParseOptions, RawFile, SourceError, conform
from pipelines.sources.reading import read_file
from pipelines.sources.registry import load_sources
from tests.conftest import Pipeline

_HEADER = b"date,open,high,low,close,volume\n"
_ROW = b"2024-01-02,1,2,1,2,5\n"
_SMALL = Limits(unpacked_bytes=1 << 20, ratio=20, members=10, line_bytes=1_000, rows=1_000)


def refusal(folder: Path, content: bytes, *, source: str = "csv", limits: Limits = _SMALL, name: str = "bad.csv") -> str:
    path = folder / "received"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read_file(load_sources(), source, RawFile(path, name, "", limits), ParseOptions("XNYS", "America/New_York"))
    message = str(caught.value)
    assert name in message
    assert "\n" not in message
    return message


def _zip(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_a_small_gzip_that_unpacks_to_gigabytes_is_stopped_at_the_limit(tmp_path: Path) -> None:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as packed:
        for _ in range(64):
            packed.write(b"0" * (1 << 20))
    assert len(out.getvalue()) < 100_000
    assert "MARKETLAKE_MAX_UNPACKED_MB" in refusal(tmp_path, out.getvalue())
    assert "MARKETLAKE_MAX_PACKING_RATIO" in refusal(tmp_path, out.getvalue(), limits=Limits(ratio=20))


def test_a_zip_bomb_is_stopped_whatever_its_directory_says_of_its_size(tmp_path: Path) -> None:
    honest = _zip({"a.csv": _HEADER + b"0" * (8 << 20)})
    assert "MARKETLAKE_MAX_UNPACKED_MB" in refusal(tmp_path, honest, name="bomb.zip")
    lying = honest.replace(struct.pack("<I", len(_HEADER) + (8 << 20)), struct.pack("<I", 100))
    refusal(tmp_path, lying, name="bomb.zip")


def test_a_zip_of_many_members_is_refused_by_their_number(tmp_path: Path) -> None:
    message = refusal(tmp_path, _zip({f"{n}.csv": b"" for n in range(11)}), name="many.zip")
    assert "11 files, 10 are allowed" in message
    assert "MARKETLAKE_MAX_ARCHIVE_MEMBERS" in message


def test_an_endless_line_and_too_many_rows_or_fields_are_refused(tmp_path: Path) -> None:
    assert "MARKETLAKE_MAX_LINE_BYTES" in refusal(tmp_path, _HEADER + b"9" * 1_001)
    assert "MARKETLAKE_MAX_ROWS_IN_FILE" in refusal(tmp_path, _HEADER + _ROW * 1_000)
    assert "MARKETLAKE_MAX_ROWS_IN_FILE" in refusal(tmp_path, _HEADER + (b"," * 900 + b"\n") * 100)


def test_a_parquet_file_of_few_bytes_and_many_rows_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    pl.DataFrame({"date": [date(2024, 1, 2)] * 5_000, "open": [1.0] * 5_000}).write_parquet(out)
    monkeypatch.setattr(pl, "read_parquet", lambda *_, **__: pytest.fail("it was read"))
    assert "5,000 rows, 1,000 are allowed" in refusal(tmp_path, out.getvalue(), source="parquet")


def test_one_long_text_repeated_in_a_parquet_dictionary_is_refused_by_its_size(tmp_path: Path) -> None:
    out = io.BytesIO()
    prices = {name: [1.0] * 900 for name in ("open", "high", "low", "close")}
    pl.DataFrame({"date": [date(2024, 1, 2)] * 900, **prices, "symbol": ["A" * 10_000] * 900}).write_parquet(out)
    assert len(out.getvalue()) < 100_000
    assert "MARKETLAKE_MAX_UNPACKED_MB" in refusal(tmp_path, out.getvalue(), source="parquet")


def test_the_limits_are_settings_of_the_home(pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"UNPACKED_MB": 3, "PACKING_RATIO": 20, "ARCHIVE_MEMBERS": 4, "LINE_BYTES": 1_500, "ROWS_IN_FILE": 2_000}
    for name, value in chosen.items():
        monkeypatch.setenv(f"MARKETLAKE_MAX_{name}", str(value))
    settings = Settings()
    assert configured_limits(settings) == Limits(unpacked_bytes=3 << 20, ratio=20, members=4, line_bytes=1_500, rows=2_000)
    long, good = pipeline.deliver("long.csv", _HEADER + b"9" * 1_501), pipeline.deliver("good.csv", _HEADER + _ROW)
    refused, accepted = Pipeline(settings).stage(long, good).files
    assert "1,500 are allowed" in str(refused.reason)
    assert (refused.status, accepted.status) == ("refused", "accepted")


@pytest.mark.parametrize("at", [50, 60, 70])
def test_a_damaged_lzma_archive_is_refused(tmp_path: Path, at: int) -> None:
    content = bytearray(_zip({"a.csv": _HEADER + _ROW * 40}, zipfile.ZIP_LZMA))
    content[at] ^= 0xFF
    assert "unpacked" in refusal(tmp_path, bytes(content), name="a.zip", limits=Limits())


def _parquet(folder: Path, columns: dict[str, pa.Array]) -> bytes:
    pq.write_table(pa.table(columns), folder / "made")
    return (folder / "made").read_bytes()


def test_a_binary_column_and_an_unknown_zone_are_refused_or_passed_over(tmp_path: Path) -> None:
    prices = {name: pa.array([1.0, 0.0]) for name in ("open", "high", "low")}
    day = pa.array([date(2024, 1, 2)] * 2)
    closes = pa.array([1.0, float("nan")])
    path = tmp_path / "received"
    path.write_bytes(_parquet(tmp_path, {"date": day, **prices, "close": closes, "blob": pa.array([b"\x00", b"\xff"])}))
    (table,) = read_file(load_sources(), "parquet", RawFile(path, "a.parquet", ""), ParseOptions("XNYS", "America/New_York"))
    assert table.frame["parse_problem"].drop_nulls().to_list() == ["close: 'NaN' is not a number"]
    moment = pa.array([1_704_187_800_000_000] * 2, pa.timestamp("us", "Mars/Olympus"))
    content = _parquet(tmp_path, {"ts": moment, **prices, "close": closes})
    message = refusal(tmp_path, content, source="parquet", name="a.parquet")
    assert "column 'ts': its times are of the zone 'Mars/Olympus', which is not known" in message


class _Faulty:
    """A plug-in that goes wrong in a way of its own."""

    name, description, whole_market, priority, publication_lag = "faulty", "", False, 1, timedelta(0)

    def __init__(self, does: object) -> None:
        self.does = does

    def claims(self, name: str) -> bool:
        return True

    def parse(self, raw: RawFile, options: ParseOptions) -> object:
        if isinstance(self.does, BaseException):
            raise self.does
        return self.does


@pytest.mark.parametrize(
    "does",
    [
        ValueError("two\nlines"),
        MemoryError(),
        RecursionError("deep"),
        SystemExit(3),
        pl.exceptions.PanicException("a panic"),
        None,
        [pl.DataFrame()],
        [ParsedTable("bars_hourly", pl.DataFrame())],
        [ParsedTable("bars_daily", pl.DataFrame({"symbol": ["A"]}))],
    ],
    ids=lambda does: type(does).__name__,
)
def test_a_faulty_source_refuses_the_file_in_one_line(tmp_path: Path, does: object) -> None:
    (tmp_path / "received").write_bytes(b"x")
    raw = RawFile(tmp_path / "received", "x.csv", "")
    with pytest.raises(SourceError, match=r"x\.csv: .*faulty") as caught:
        read_file({"faulty": _Faulty(does)}, "faulty", raw, ParseOptions("XNYS"))  # type: ignore[dict-item]
    assert "\n" not in str(caught.value)


def test_an_interrupt_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        read_file({"faulty": _Faulty(KeyboardInterrupt())}, "faulty", RawFile(tmp_path, "x", ""), ParseOptions("XNYS"))  # type: ignore[dict-item]


def test_a_date_that_no_calendar_has_is_a_problem_of_its_row(tmp_path: Path) -> None:
    far = pl.Series([3_000_000_000 // 1_000, 19_724], dtype=pl.Int32).cast(pl.Date)
    frame = pl.DataFrame({"row_number": [1, 2], "symbol": ["A", "A"], "session_date": far})
    table = conform("bars_daily", frame)
    (tmp_path / "received").write_bytes(b"x")
    (read,) = read_file({"f": _Faulty([table])}, "f", RawFile(tmp_path / "received", "x", ""), ParseOptions("XNYS"))  # type: ignore[dict-item]
    assert read.frame["session_date"].to_list() == [None, date(2024, 1, 2)]
    assert "years" in str(read.frame["parse_problem"][0])
    assert dict(read.frame.schema) == dict(FRAME_SCHEMAS["bars_daily"])


def test_a_raw_copy_that_is_gone_or_a_plug_in_that_was_removed_refuses_its_file_alone(pipeline) -> None:
    good = pipeline.deliver("good.csv", _HEADER + _ROW)
    gone = pipeline.deliver("gone.csv", _HEADER + b"2024-01-03,1,2,1,2,5\n")
    other = pipeline.deliver("other.csv", _HEADER + b"2024-01-04,1,2,1,2,5\n", source="sold_out")
    for path in Path(pipeline.settings.lake_root).rglob(gone.content_hash):
        os.remove(path)
    staged = pipeline.stage(gone, other, good)
    assert [file.status for file in staged.files] == ["refused", "refused", "accepted"]
    assert "its raw copy in the lake cannot be read" in str(staged.files[0].reason)
    assert "ingest the file again" in str(staged.files[0].reason)
    assert "sold_out is not installed" in str(staged.files[1].reason)
    assert staged.counts["bars_daily"].read == 1
