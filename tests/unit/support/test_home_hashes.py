"""Records of what homes show: equal for the same content, and a change is named by table, column, report and command."""

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.build.derived_tables import versions_of
from pipelines.ingest.suites import Suite
from pipelines.orchestration.release import release_tables
from pipelines.settings import Settings
from pipelines.storage.catalogue import publish_catalogue
from pipelines.storage.location import Lake
from pipelines.storage.releases import record_release, releases
from tests.support.home_hashes import OF_EXCHANGE, OF_HOME, differences, main, record
from tests.support.suites import no_expectations

ARRIVED = datetime(2024, 2, 1, 12, tzinfo=UTC)
ROWS = [("AAPL", "2024-01-02", 10, 11, 9, 10, 100), ("IBM", "2024-01-02", 20, 21, 19, 20, 200)]
Make = Callable[..., Path]


@pytest.fixture
def suite() -> Suite:
    """No test here is about the gate."""
    return no_expectations


@pytest.fixture
def make(pipeline: Any, bars_csv: Callable[..., str], tmp_path: Path) -> Make:
    """Makes a released home with these bars and a report that names its release."""

    def home(name: str, rows: Sequence[tuple[object, ...]], report: str = "value at risk 1 %", code: str = "1.0+aaaa") -> Path:
        settings: Settings = pipeline.settings
        pipeline.ingest(pipeline.deliver("bars.csv", bars_csv(rows), received_at=ARRIVED))
        lake = Lake.from_settings(settings)
        release, _ = record_release(
            lake, "XNYS", versions_of(lake, "XNYS", release_tables(lake)), code_version=code, config={}, sessions=[]
        )
        publish_catalogue(lake, release, release_tables(lake), releases(lake), settings.state_dir, settings.catalogue_link)
        reports = settings.home / "reports"
        reports.mkdir()
        (reports / "risk.html").write_text(f"{report}; {release.release_id} of {settings.home}")
        # A catalogue names its files by their paths, so that the home cannot move before it is read.
        recorded = record(settings.home, silent)
        settings.catalogue_link.unlink()
        for folder in (settings.lake_root, settings.state_dir, reports, settings.home / "inbound"):
            shutil.rmtree(folder)
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(recorded))
        return path

    return home


def silent(words: Sequence[str]) -> tuple[int, str]:
    """Answers every command alike, but for what varies."""
    return 0, json.dumps({"asked": list(words), "created_at": str(datetime.now(UTC))})


def named(before: Path, after: Path) -> list[str]:
    return list(differences(json.loads(before.read_text()), json.loads(after.read_text())))


@pytest.mark.slow
@pytest.mark.measured
def test_the_same_bars_released_again_by_other_code_differ_in_nothing(make: Make) -> None:
    before, after = make("before", ROWS), make("after", ROWS, code="1.0+bbbb")
    assert json.loads(before.read_text())["tables"]["bars_daily"]["rows"] == 2
    assert named(before, after) == []
    assert main(["compare", str(before), str(after)]) == 0


@pytest.mark.slow
@pytest.mark.measured
def test_another_price_is_named_by_table_and_column(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    before = make("before", ROWS)
    after = make("after", [ROWS[0], (*ROWS[1][:5], 20.5, 200)], report="value at risk 2 %")
    found = named(before, after)
    assert "tables: bars_daily: column close: other values" in found
    assert not any(line.startswith("tables: bars_daily: column") and line.split()[3] in {"open:", "high:"} for line in found)
    assert "reports: reports/risk.html: other content" in found
    assert not any(line.startswith("json:") for line in found)
    capsys.readouterr()
    assert main(["compare", str(before), str(after)]) == 1
    assert capsys.readouterr().out.splitlines() == found


@pytest.mark.slow
@pytest.mark.measured
def test_a_missing_row_is_counted(make: Make) -> None:
    assert "tables: bars_daily: 2 → 1 rows" in named(make("before", ROWS), make("after", ROWS[:1]))


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"tables": {}}, "tables: t: only before"),
        ({"reports": {"r": "1", "s": "1"}}, "reports: s: only after"),
        ({"json": {"c": "exit 1 x"}}, "json: c: other content"),
        ({"tables": {"t": {"rows": 1, "hash": "1", "columns": {"a": "1", "b": "1"}}}}, "tables: t: column b: only after"),
        ({"tables": {"t": {"rows": 1, "hash": "2", "columns": {"a": "1"}}}}, "tables: t: the same values in other rows"),
    ],
)
def test_each_kind_of_difference_has_its_words(other: dict[str, Any], line: str) -> None:
    same: dict[str, Any] = {
        "tables": {"t": {"rows": 1, "hash": "1", "columns": {"a": "1"}}},
        "reports": {"r": "1"},
        "json": {"c": "exit 0 x"},
    }
    assert list(differences(same, {**same, **other})) == [line]


@pytest.mark.parametrize("command", [*OF_HOME, *(f"{command} --exchange XNYS" for command in OF_EXCHANGE)])
def test_every_recorded_command_prints_json(home: Settings, marketlake: Callable[..., tuple[int, str, str]], command: str) -> None:
    code, out, err = marketlake(*command.split(), "--json")
    assert (code, err) == (0, "")
    json.loads(out)
