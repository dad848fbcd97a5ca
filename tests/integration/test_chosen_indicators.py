"""Indicators from a file and from a plug-in through the real commands; a changed file leaves no mixed rows."""

import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.market.calendar import calendar

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FIRST = date(2024, 1, 2)
RUN = "import sys; from pipelines.cli.app import main; sys.argv[0] = 'marketlake'; main()"
PLUG_IN = """
from pipelines.indicators.frame import CLOSE, HIGH
from pipelines.indicators.jit import kernel
from pipelines.indicators.model import Indicator, Output


@kernel
def below_high(frame, span, state, marks, snapshots, out):
    for i in range(span[0], span[1]):
        out[0, i - span[0]] = frame[HIGH, i] - frame[CLOSE, i]


BELOW_HIGH = Indicator(
    name="below_high",
    kernel="acme_below_high:below_high",
    inputs=("high", "close"),
    parameters={},
    outputs=(Output("below_high", "price", "High less close.", 0),),
    lookback=0,
    warm_up=1,
    formula="high − close",
    source="the test",
)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip would leave of a package with a plug-in."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "acme_below_high.py").write_text(PLUG_IN)
    about = folder / "acme_below_high-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-below-high\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[marketlake.indicators]\nacme = acme_below_high:BELOW_HIGH\n")
    return folder


class Home:
    """A home with fifty sessions of two shares, and the command run in it."""

    def __init__(self, folder: Path, site: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.file = folder / "indicators.yml"
        self._env = {
            **os.environ,
            "MARKETLAKE_HOME": str(folder),
            "MARKETLAKE_EXCHANGES": "XNYS",
            "MARKETLAKE_INDICATORS": self.file.name,
            "DAGSTER_HOME": str(folder / ".state" / "dagster"),
            "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", RUN, *arguments]
        return subprocess.run(command, cwd=self.folder, env=self._env, capture_output=True, text=True, check=False)

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def deliver(self, first: int, last: int) -> None:
        lines = ["symbol,date,open,high,low,close,volume"]
        for number, day in enumerate(_days()[first:last], start=first):
            for symbol, base in (("AAA", 50.0), ("BBB", 80.0)):
                close = base + ((number * 7) % 11) * 0.25 + number * 0.1
                lines.append(f"{symbol},{day},{close - 0.5},{close + 1},{close - 1},{close},{1000 + number}")
        path = self.folder / f"bars_{first}_{last}.csv"
        path.write_text("\n".join(lines) + "\n")
        self.ok("ingest", str(path), "--source", "csv")

    def indicators(self) -> pl.DataFrame:
        query = "select * from indicators_daily order by instrument_id, session_date"
        return pl.read_csv(self.ok("sql", query, "--format", "csv").encode(), infer_schema_length=None)


def _days() -> list[str]:
    sessions = calendar("XNYS").between(FIRST, FIRST + timedelta(days=100))
    return [str(session.session_date) for session in sessions][:50]


def _file(*windows: int) -> str:
    return "indicators:\n" + "".join(f"  - name: rsi\n    window: {window}\n" for window in windows)


def test_a_changed_file_rebuilds_everything_and_a_wrong_one_is_refused(tmp_path: Path, site: Path) -> None:
    home = Home(tmp_path / "home", site)
    home.file.write_text(_file(7))
    home.deliver(0, 50)
    home.ok("nightly")
    first = home.indicators()
    assert first["rsi_7"].count() == 2 * (50 - 7)
    assert first["below_high"].to_list() == [1.0] * 100

    home.file.write_text(_file(9, 7))
    home.ok("nightly")
    after = home.indicators()
    assert after["rsi_9"].count() == 2 * (50 - 9)
    assert after.drop("rsi_9").equals(first.select(after.drop("rsi_9").columns))

    home.file.write_text("indicators:\n  - name: rsj\n    window: 7\n")
    refused = home.run("nightly")
    assert refused.returncode == 2
    assert "indicators.yml:2: no indicator 'rsj'; did you mean 'rsi'?" in refused.stderr
    assert "Traceback" not in refused.stderr
