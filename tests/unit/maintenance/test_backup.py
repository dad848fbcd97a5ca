"""A backup holds a home whole, copies nothing twice, and names what is damaged; a restored home answers as the first did."""

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.build.derived_tables import versions_of
from pipelines.maintenance.backups.folder import Backup, BackupError, BackupFolder
from pipelines.maintenance.backups.make import make_backup
from pipelines.maintenance.backups.restore import restore_home
from pipelines.maintenance.backups.snapshot import BusyLakeError, settle, take_snapshot
from pipelines.orchestration.release import release_tables
from pipelines.settings import Settings
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.location import Lake
from pipelines.storage.releases import record_release, releases
from tests.support.cleaning import clean
from tests.support.faults import cut, flip_bit, lose, newest_file
from tests.support.pipeline import Pipeline

Command = Callable[..., tuple[int, str, str]]
DAYS = ("2024-01-02", "2024-01-03", "2024-01-04")
NOW = datetime(2025, 6, 1, tzinfo=UTC)


def release(pipeline: Any) -> None:
    versions = versions_of(pipeline.lake, "XNYS", release_tables(pipeline.lake))
    record_release(pipeline.lake, "XNYS", versions, code_version="1", config={}, sessions=[DAYS[0], DAYS[-1], len(DAYS)])


def deliver(pipeline: Any, day: str, close: float, bars_csv: Callable[..., str]) -> None:
    pipeline.ingest(pipeline.deliver(f"{day}-{close}.csv", bars_csv([("AAPL", day, 100, 101, 99, close, 1000)])))


@pytest.fixture(scope="module")
def filled(module_pipeline: Any, bars_csv: Callable[..., str]) -> Any:
    """Three deliveries, a release after each; the last session restated since."""
    for day in DAYS:
        deliver(module_pipeline, day, 100, bars_csv)
        release(module_pipeline)
    deliver(module_pipeline, DAYS[-1], 100.5, bars_csv)
    return module_pipeline


@pytest.fixture
def source(filled: Any, pipeline: Any) -> Any:
    """A home with that lake, and what people wrote."""
    home = pipeline.settings.home
    for name, content in (("calendars/XNYS.toml", "# none"), ("strategies/one.yaml", "scanner: breakout_20d"), (".env", SETTINGS)):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(content)
    return pipeline.go_on_from(filled)


SETTINGS = (
    "# of this machine\nMARKETLAKE_STALE_AFTER_SESSIONS=3\nMARKETLAKE_LAKE_URI=\nAWS_SECRET_ACCESS_KEY=hush\n"
    "MARKETLAKE_DAGSTER_POSTGRES_URL=postgresql://u:hush@h/d\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    return BackupFolder(tmp_path / "backups of ü")


def restored(folder: BackupFolder, home: Path, backup_id: str | None = None) -> Pipeline:
    settings = Settings(home=home)
    restore_home(settings, folder, backup_id)
    return Pipeline(settings)


def tables_of(pipeline: Any) -> dict[tuple[str, int], pl.DataFrame]:
    """Rows of every table at every version that a release or the newest state has."""
    found = {}
    for name in ("bars_daily", "instruments", "raw_files", "bars_daily_superseded"):
        table = pipeline.table(name)
        for version in {
            table.version(),
            *(r.versions("XNYS")[name] for r in releases(pipeline.lake) if name in r.versions("XNYS")),
        }:
            found[name, version] = table.read(version)
    return found


@pytest.mark.slow
@pytest.mark.measured
def test_a_restored_home_has_releases_history_raw_files_and_what_people_wrote(
    source: Any, folder: BackupFolder, tmp_path: Path
) -> None:
    made = make_backup(source.settings, folder, NOW)
    again = restored(folder, tmp_path / "новый дом" / "a b")
    before, after = tables_of(source), tables_of(again)
    assert before.keys() == after.keys()
    assert len(before) > 8
    assert all(after[key].equals(rows) for key, rows in before.items())
    assert releases(again.lake) == releases(source.lake)
    assert [entry["version"] for entry in again.table("bars_daily").scan_versions()] == [
        entry["version"] for entry in source.table("bars_daily").scan_versions()
    ]
    raw = sorted(path.relative_to(source.settings.home) for path in source.settings.home.glob("lake/XNYS/raw/*/*"))
    assert [path.relative_to(again.settings.home) for path in sorted(again.settings.home.glob("lake/XNYS/raw/*/*"))] == raw
    assert len(raw) == 4
    assert (again.settings.home / "calendars/XNYS.toml").read_text() == "# none"
    assert (again.settings.home / "strategies/one.yaml").is_file()
    assert (again.settings.home / ".env").read_text() == "MARKETLAKE_STALE_AFTER_SESSIONS=3\n"
    assert made.backup.releases == tuple(r.release_id for r in releases(source.lake))


def test_no_secret_is_in_a_backup(source: Any, folder: BackupFolder) -> None:
    make_backup(source.settings, folder, NOW)
    assert not [path for path in folder.folder.rglob("*") if path.is_file() and b"hush" in path.read_bytes()]


def test_a_second_backup_copies_what_is_new_and_the_first_stays_restorable(
    source: Any, folder: BackupFolder, tmp_path: Path, bars_csv: Callable[..., str]
) -> None:
    first = make_backup(source.settings, folder, NOW)
    assert first.copied_files > 20
    assert make_backup(source.settings, folder, NOW + timedelta(hours=1)).copied_files == 0
    rows = source.rows("bars_daily")
    deliver(source, "2024-01-05", 101, bars_csv)
    third = make_backup(source.settings, folder, NOW + timedelta(hours=2))
    # A raw file, and of each table that the delivery touched a data file and an entry of the log.
    assert 3 <= third.copied_files < first.copied_files / 2
    assert restored(folder, tmp_path / "old", first.backup.backup_id).rows("bars_daily").equals(rows)
    assert restored(folder, tmp_path / "new").rows("bars_daily").equals(source.rows("bars_daily"))


def test_data_files_that_are_there_are_not_even_read(source: Any, folder: BackupFolder) -> None:
    make_backup(source.settings, folder, NOW)
    lost = newest_file(source.table("bars_daily"))
    lost.unlink()
    # Its name tells its content, and the backup has that.
    assert make_backup(source.settings, folder, NOW + timedelta(hours=1)).copied_files == 0


def test_what_a_running_write_has_not_committed_is_not_in_the_backup(source: Any, folder: BackupFolder) -> None:
    table = Path(source.table("bars_daily").uri)
    (table / "session_year=2024" / "part-00000009-unfinished.parquet").write_bytes(b"half")
    later = table / "_delta_log" / f"{source.table('bars_daily').version() + 1:020d}.json.tmp"
    later.write_text("{")
    names = {file.path for file in make_backup(source.settings, folder, NOW).backup.files}
    assert not [name for name in names if "unfinished" in name or name.endswith(".tmp")]


def test_heads_are_read_until_two_readings_agree() -> None:
    moments = iter([1, 2, 3, 3])
    assert settle(lambda: next(moments)) == 3
    endless = iter(range(1000))
    with pytest.raises(BusyLakeError):
        settle(lambda: next(endless))


def test_a_commit_between_two_tables_is_not_torn(
    source: Any, bars_csv: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The restatement writes the superseded row, then the bar. A reading that meets it between the two is taken again."""
    from pipelines.maintenance.backups import snapshot

    looked = []

    def settle_meeting_a_writer(read: Callable[[], Any]) -> Any:
        def met() -> Any:
            looked.append(read())
            if len(looked) == 1:
                deliver(source, DAYS[0], 100.25, bars_csv)
            return looked[-1]

        return settle(met)

    monkeypatch.setattr(snapshot, "settle", settle_meeting_a_writer)
    taken = take_snapshot(source.lake)
    assert len(looked) == 3
    assert taken.tables == looked[-1][0] != looked[0][0]


def test_a_killed_backup_is_none_and_the_next_takes_up_what_it_copied(source: Any, folder: BackupFolder, tmp_path: Path) -> None:
    first = make_backup(source.settings, folder, NOW)

    class Killed(BackupFolder):
        def write(self, backup: Backup) -> str:
            raise KeyboardInterrupt

    other = Killed(tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        make_backup(source.settings, other, NOW)
    assert other.backups() == []
    with pytest.raises(BackupError, match="holds no backup that is whole"):
        restored(other, tmp_path / "none")
    (other.folder / "objects" / "left.part").write_bytes(b"half")
    (other.folder / "backups" / "20250601T000000Z-0.json.part").write_bytes(b"half")
    whole = BackupFolder(other.folder)
    assert make_backup(source.settings, whole, NOW).copied_files == 0
    assert not [*whole.folder.rglob("*.part")]
    assert whole.backups() == [first.backup.backup_id]


def test_a_flipped_bit_in_the_backup_is_named_and_not_restored(
    source: Any, folder: BackupFolder, tmp_path: Path, marketlake: Command
) -> None:
    code, out, _ = marketlake("backup", str(folder.folder), "--verify", "--json")
    told = json.loads(out)
    assert (code, told["verified"]["damaged"]) == (0, [])
    (made,) = folder.backups()
    hurt = next(file for file in folder.read(made).files if "bars_daily/session" in file.path)
    path = folder.path_of(hurt.sha256)
    path.chmod(0o644)
    flip_bit(path)
    code, out, err = marketlake("backup", str(folder.folder), "--verify")
    assert code == 1
    assert f"{hurt.path} has other content than was written ({path}" in " ".join(err.split())
    with pytest.raises(BackupError, match="has other content in the backup"):
        restored(folder, tmp_path / "again", made)
    assert not (tmp_path / "again" / "lake").exists()
    path.unlink()
    assert "is missing" in " ".join(folder.verify()[2])
    assert marketlake("backup", str(folder.folder), "--verify")[0] == 0
    assert restored(folder, tmp_path / "again").rows("bars_daily").equals(source.rows("bars_daily"))


def test_a_flipped_bit_in_the_record_is_named(source: Any, folder: BackupFolder, tmp_path: Path) -> None:
    first = make_backup(source.settings, folder, NOW).backup.backup_id
    second = make_backup(source.settings, folder, NOW + timedelta(hours=1)).backup.backup_id
    flip_bit(folder.folder / "backups" / f"{second}.json")
    assert [second in line for line in folder.verify()[2]] == [True]
    with pytest.raises(BackupError, match=f"restore another with `--backup {first}`"):
        restored(folder, tmp_path / "again")
    restored(folder, tmp_path / "again", first[:15])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda table: flip_bit(newest_file(table)), "has other content than was written"),
        (lambda table: cut(newest_file(table)), "has other content than was written"),
        (lambda table: lose(newest_file(table)), "is missing"),
        (lambda table: shutil.rmtree(table.uri), "bars_daily is gone"),
    ],
)
def test_a_damaged_lake_is_not_taken_for_whole(source: Any, folder: BackupFolder, damage: Callable[[Any], None], told: str) -> None:
    damage(source.table("bars_daily"))
    with pytest.raises((BackupError, DamagedTableError), match=told) as refused:
        make_backup(source.settings, folder, NOW)
    assert "marketlake repair" in str(refused.value)
    assert folder.backups() == []


def test_a_raw_file_that_is_lost_is_left_out_by_name(source: Any, folder: BackupFolder, marketlake: Command) -> None:
    lost = next(source.settings.home.glob("lake/XNYS/raw/*/*"))
    lost.unlink()
    code, out, _ = marketlake("backup", str(folder.folder), "--json")
    (line,) = json.loads(out)["left_out"]
    assert (code, lost.name in line, "is missing: ingest the vendor's file again" in line) == (1, True, True)
    assert folder.backups() == [json.loads(out)["backup"]]


@pytest.mark.parametrize(("damage", "told"), [(lose, "is missing"), (flip_bit, "has other content")])
def test_a_file_that_only_an_earlier_release_has_stops_nothing(
    source: Any, folder: BackupFolder, tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    """No repair brings it back: tonight's backup must not wait for it."""
    table = source.table("bars_daily")
    first = releases(source.lake)[0].versions("XNYS")["bars_daily"]
    damage(Path(table.files(first)[0]))
    (line,) = make_backup(source.settings, folder, NOW).backup.left_out
    assert "which only earlier releases have" in line
    assert told in line
    assert restored(folder, tmp_path / "again").rows("bars_daily").equals(source.rows("bars_daily"))


def test_releases_that_expired_need_no_files(source: Any, folder: BackupFolder, tmp_path: Path) -> None:
    clean(source, datetime.now(UTC) + timedelta(days=200))
    make_backup(source.settings, folder, NOW)
    again = restored(folder, tmp_path / "again")
    assert again.rows("bars_daily").equals(source.rows("bars_daily"))
    with pytest.raises(DamagedTableError):
        again.table("bars_daily").read(releases(again.lake)[0].versions("XNYS")["bars_daily"])


def test_a_restore_refuses_a_home_that_is_not_empty(source: Any, folder: BackupFolder, tmp_path: Path, marketlake: Command) -> None:
    make_backup(source.settings, folder, NOW)
    code, _, err = marketlake("restore", str(folder.folder))
    assert (code, "is not empty (" in err, "lake" in err) == (1, True, True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    code, _, err = marketlake("restore", str(folder.folder), "--to", str(other))
    assert (code, "is not empty (notes.txt)" in err) == (1, True)
    assert [path.name for path in other.iterdir()] == ["notes.txt"]


def test_a_restore_that_was_killed_is_done_again(
    source: Any, folder: BackupFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_backup(source.settings, folder, NOW)
    settings, replaced = Settings(home=tmp_path / "again"), []
    real = os.replace

    def killed(source: Any, target: Any) -> None:
        replaced.append(target)
        if Path(target) == Path(settings.lake_root):
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            restore_home(settings, folder)
    assert not Path(settings.lake_root).exists()
    assert (settings.home / "calendars").is_dir()
    assert restored(folder, settings.home).rows("bars_daily").equals(source.rows("bars_daily"))
    assert sorted(path.name for path in settings.home.iterdir()) == [".env", "calendars", "lake", "strategies"]


def test_settings_that_are_there_stay(source: Any, folder: BackupFolder, tmp_path: Path) -> None:
    make_backup(source.settings, folder, NOW)
    home = tmp_path / "again"
    home.mkdir()
    (home / ".env").write_text("MARKETLAKE_EXCHANGES=XNYS\n")
    restored(folder, home)
    assert (home / ".env").read_text() == "MARKETLAKE_EXCHANGES=XNYS\n"


@pytest.mark.parametrize(
    ("target", "code", "told"),
    [
        ("s3://bucket/backups", 2, "s3:// is not supported for backups"),
        ("lake/backups", 1, "which is backed up"),
        (".state/backups", 1, "which is backed up"),
        ("calendars", 1, "holds other files"),
    ],
)
def test_places_that_are_no_folder_of_backups_are_refused(
    source: Any, marketlake: Command, target: str, code: int, told: str
) -> None:
    ended, _, err = marketlake("backup", target if "://" in target else str(source.settings.home / target))
    assert (ended, told in err) == (code, True)
    assert len(err.strip().splitlines()) <= 2


def test_a_second_writer_of_the_folder_is_refused(source: Any, folder: BackupFolder) -> None:
    with folder.locked(), pytest.raises(BackupError, match="another backup is being written"):
        make_backup(source.settings, folder, NOW)


def test_the_command_says_what_is_kept_and_what_is_not(source: Any, folder: BackupFolder, marketlake: Command) -> None:
    code, out, err = marketlake("backup", str(folder.folder))
    assert code == 0, err
    assert "copied now" in out
    assert "Dagster's history" in out
    home = folder.folder.parent / "restored"
    code, out, err = marketlake("restore", str(folder.folder), "--to", str(home), "--json")
    told = json.loads(out)
    assert (code, told["home"], told["published"]) == (0, str(home), releases(source.lake)[-1].release_id)
    assert "Dagster's history" in [entry["what"] for entry in told["not_kept"]]
    assert (home / "marketlake.duckdb").resolve().is_relative_to(home.resolve())
    assert date.fromisoformat(DAYS[-1]) == Pipeline(Settings(home=home)).rows("bars_daily")["session_date"].max()


def test_a_folder_of_the_lake_elsewhere_is_backed_up_too(
    filled: Any, folder: BackupFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "elsewhere" / "lake"
    shutil.copytree(filled.settings.lake_root, root)
    make_backup(Settings(home=tmp_path / "desk", lake_uri=str(root)), folder, NOW)
    target = Settings(home=tmp_path / "desk2", lake_uri=str(tmp_path / "big disk" / "lake"))
    restore_home(target, folder)
    assert Lake.from_settings(target).root == str(tmp_path / "big disk" / "lake")
    assert Pipeline(target).rows("bars_daily").equals(filled.rows("bars_daily"))
