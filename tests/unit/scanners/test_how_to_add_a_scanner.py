"""The guide's package works as printed: its scanners are listed, built by dbt, scanned in process with the same rows, and known
apart from a broken one.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[3] / "docs" / "how-to-add-a-scanner.md"
RUN = "import sys; from pipelines.cli.app import main; sys.argv[0] = 'marketlake'; main()"

BROKEN = """
def cannot_start():
    raise RuntimeError("no licence")


def reads_the_lake():
    from pathlib import Path
    return Path(__file__).parent / "acme_broken_models"


def fails_on_an_empty_lake():
    from pipelines.scanners.engine.python_scanner import PythonScanner, Reads
    return PythonScanner(
        name="acme_misspelt", version=1, family="acme", description="Reads a column that is not there.", rule="none",
        evaluates="closed_daily", reads={"day_so_far": Reads(("last_prize",))}, decide=lambda frames, values: frames["day_so_far"],
    )
"""


def _package(folder: Path, name: str, entries: str) -> None:
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[marketlake.scanners]\n{entries}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pip would leave it: the guide's package."""
    folder = tmp_path_factory.mktemp("site")
    guide = GUIDE.read_text(encoding="utf-8")
    (python,) = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    (sql,) = re.findall(r"```sql\n(.*?)```", guide, flags=re.DOTALL)
    (about,) = re.findall(r"```yaml\n(.*?)```", guide, flags=re.DOTALL)
    (entry,) = re.findall(r"```toml\n\[project.entry-points.\"marketlake.scanners\"\]\n(.*?)```", guide, flags=re.DOTALL)
    models = folder / "acme_scanners" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text(python, encoding="utf-8")
    (models / "acme_quiet_close.sql").write_text(sql, encoding="utf-8")
    (models / "acme_quiet_close.yml").write_text(about, encoding="utf-8")
    _package(folder, "acme_scanners", entry.replace('"', ""))
    return folder


@pytest.fixture(scope="module")
def broken_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages that cannot be used, each in a way of its own."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "acme_broken.py").write_text(BROKEN, encoding="utf-8")
    models = folder / "acme_broken_models"
    models.mkdir()
    (models / "peeking.sql").write_text("select * from {{ source('lake', 'bars_daily') }}")
    (models / "peeking.yml").write_text("models: [{name: peeking, description: Reads what it must not.}]")
    entries = (
        "cannot_start = acme_broken:cannot_start\npeeks = acme_broken:reads_the_lake\nzz = acme_broken:fails_on_an_empty_lake\n"
    )
    _package(folder, "acme_broken", entries)
    return folder


def _run(folder: Path, sites: list[Path], *arguments: str, code: str = RUN) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "MARKETLAKE_HOME": str(folder),
        "MARKETLAKE_EXCHANGES": "XNSE",
        "PYTHONPATH": os.pathsep.join([*map(str, sites), str(GUIDE.parents[1])]),
    }
    return subprocess.run([sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.slow
def test_the_guides_scanners_are_listed_and_broken_packages_are_named_beside_them(
    home: Path, site: Path, broken_site: Path
) -> None:
    done = _run(home, [site, broken_site], "scanners", "--json")

    assert done.returncode == 0, done.stderr[-3000:]
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["acme_strong_day"]["origin"] == rows["acme_quiet_close"]["origin"] == "acme-scanners 1.0"
    assert rows["acme_strong_day"]["parameters"]["least_atr"]["range"] == [0.0, 100.0]
    assert rows["breakout_20d"]["origin"] == "built-in"
    assert not {"peeking", "acme_misspelt"} & set(rows)
    warnings = done.stderr.splitlines()
    assert any("cannot_start" in line and "RuntimeError: no licence" in line for line in warnings)
    assert any("peeking.sql uses source()" in line for line in warnings)
    assert any("plug-in zz" in line and "last_prize" in line for line in warnings)
    assert len(warnings) == 3


_BUILD = """
import json, sys
from pathlib import Path
import duckdb
sys.path.insert(0, sys.argv[1])
from conftest import build_small_lake, read_small_lake
from pipelines.scanners.registry import load_scanners
from pipelines.scanners.engine.runner import ScanEngine
from pipelines.scanners.project import HomeProject
from pipelines.settings import Settings

build_small_lake(Path(sys.argv[2]), HomeProject.from_settings(Settings()).directory())
build = read_small_lake(Path(sys.argv[2]))
compiled = load_scanners(build.manifest)
mine = ["acme_quiet_close", "acme_strong_day"]
night = build.rows("from marts.scanner_signals where scanner_name like 'acme%' order by signal_id")
runs = build.rows("from marts.scanner_runs where scanner_name like 'acme%' order by scanner_name, as_of_ts")
moments = runs["as_of_ts"].unique().sort().to_list()
with ScanEngine(compiled, build.inputs) as engine:
    together = engine.run_at([(moment, mine) for moment in moments], mode="nightly")
    apart = [engine.run(moment, mine, mode="nightly").signals for moment in moments[-3:]]
    wider = engine.run(moments[-1], mine, {"acme_strong_day": {"least_atr": 0.01}}).signals
    narrow = engine.run(moments[-1], mine, {"acme_strong_day": {"least_atr": 100}}).signals
import polars as pl
key = ["scanner_name", "as_of_ts"]
print(json.dumps({
    "statuses": {k: v for k, v in build.statuses.items() if "acme" in k},
    "signals": night.group_by("scanner_name").len().sort("scanner_name").rows(),
    "same": together.signals.sort("signal_id").equals(night),
    "same_runs": together.runs.sort(key).equals(runs.sort(key)),
    "one_by_one": pl.concat(apart).sort("signal_id").equals(night.filter(pl.col("ts").is_in(moments[-3:])).sort("signal_id")),
    "last": sorted(night.filter((pl.col("ts") == moments[-1]) & (pl.col("scanner_name") == "acme_strong_day"))
                   .select("symbol", "signal_type").rows()),
    "wider": wider.filter(pl.col("scanner_name") == "acme_strong_day").height,
    "narrow": narrow.filter(pl.col("scanner_name") == "acme_strong_day").height,
    "details": json.loads(night.filter(pl.col("scanner_name") == "acme_strong_day")["details"][-1]),
}))
"""


@pytest.mark.slow
def test_the_guides_scanners_give_the_same_rows_in_a_build_and_in_process(home: Path, site: Path, tmp_path: Path) -> None:
    done = _run(home, [site], str(Path(__file__).parent), str(tmp_path), code=_BUILD)

    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["statuses"].values()) == {"success"}
    assert {name for name, _ in found["signals"]} == {"acme_quiet_close", "acme_strong_day"}
    assert found["same"]
    assert found["same_runs"]
    assert found["one_by_one"]
    # RISE gains 4 and FALL loses 4 in the last session, with an ATR of about 2; SPLIT halves its price and gains nothing.
    assert ["RISE", "BUY"] in found["last"]
    assert not [symbol for symbol, _ in found["last"] if symbol == "SPLIT"]
    assert found["narrow"] == 0
    assert found["wider"] >= len(found["last"])
    assert set(found["details"]) == {"gain_atr"}
