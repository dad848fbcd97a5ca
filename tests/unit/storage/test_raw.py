"""Raw files: kept once, never changed, never outside the lake."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.storage.location import Lake
from pipelines.storage.raw import Delivery, local_copy, raw_uri, store_raw

WHEN = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def keep(lake: Lake, path: Path, **changes: object) -> Delivery:
    known = {"name": path.name, "source": "csv", "options": {"exchange": "XNYS"}, "received_at": WHEN, **changes}
    return store_raw(lake, "XNYS", path, **known)  # type: ignore[arg-type]


def files(lake: Lake) -> list[Path]:
    return sorted(p for p in Path(lake.root).rglob("*") if p.is_file())


def test_a_file_is_kept_byte_for_byte_under_its_hash_and_read_only(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(b"abc")
    done = keep(lake, path)
    # The digest of "abc" is the first example of FIPS 180-4.
    assert done.content_hash == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (kept,) = files(lake)
    assert kept == Path(lake.root, "XNYS", "raw", "ba", done.content_hash)
    assert kept.read_bytes() == b"abc"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o444
    with local_copy(lake, "XNYS", done.content_hash) as copy:
        assert copy.read_bytes() == b"abc"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o444), (0o027, 0o440), (0o077, 0o400)])
def test_a_copy_is_readable_by_those_whom_the_umask_leaves(lake: Lake, tmp_path: Path, mask: int, mode: int) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("private")
    before = os.umask(mask)
    try:
        keep(lake, path)
    finally:
        os.umask(before)
    (kept,) = files(lake)
    assert stat.S_IMODE(kept.stat().st_mode) == mode


def test_the_same_content_under_two_names_is_one_copy(lake: Lake, tmp_path: Path) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    for path in (one, two):
        path.write_text("same")
    first, second = keep(lake, one), keep(lake, two)
    assert first.batch_id == second.batch_id
    assert len(files(lake)) == 1


def test_the_same_content_read_otherwise_is_another_batch_of_the_same_file(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("same")
    batches = {
        keep(lake, path).batch_id,
        keep(lake, path, source="lean").batch_id,
        keep(lake, path, options={"exchange": "XNYS", "symbol": "A"}).batch_id,
    }
    assert len(batches) == 3
    assert len(files(lake)) == 1


def test_the_vendor_s_file_may_change_afterwards(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("first")
    done = keep(lake, path)
    path.write_text("second")
    assert keep(lake, path).content_hash != done.content_hash
    with local_copy(lake, "XNYS", done.content_hash) as copy:
        assert copy.read_text() == "first"


def test_a_missing_file_is_an_error_and_leaves_nothing(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        keep(lake, tmp_path / "absent.csv")
    assert not Path(lake.root).exists()


@pytest.mark.parametrize("part", ["..", ".", "", "a/b", "../x", "a\\b", "a b", "a\n", "a\x00"])
def test_no_name_leads_out_of_the_lake(lake: Lake, part: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of a path in the lake"):
        lake.uri("XNYS", part)
    with pytest.raises(ValueError, match="cannot be part of a path in the lake"):
        lake.table_uri(part, "bars_daily")
    with pytest.raises(ValueError, match="cannot be part of a path in the lake"):
        raw_uri(lake, part, "ab" * 32)


def test_a_delivery_s_name_with_dots_is_only_a_label(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("x")
    done = keep(lake, path, name="../../etc/passwd")
    assert done.name == "../../etc/passwd"
    assert [p.name for p in files(lake)] == [done.content_hash]


def test_roots_by_uri_are_addressed_alike(tmp_path: Path) -> None:
    assert Lake("s3://bucket/prefix/").table_uri("XNSE", "bars_1m") == "s3://bucket/prefix/XNSE/bars_1m"
    assert (Lake("s3://b").is_local, Lake("file:///x").is_local, Lake(str(tmp_path)).is_local) == (False, True, True)
