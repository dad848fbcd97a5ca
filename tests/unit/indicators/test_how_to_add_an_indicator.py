"""The example of the guide works as printed: right values, no seam at a cut, and columns in the tables once it is installed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import REGISTRY, Registry

GUIDE = Path(__file__).parents[3] / "docs" / "how-to-add-an-indicator.md"
NAMES = ("open", "high", "low", "close", "volume", "turnover", "session")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder as pip would leave it: the guide's module, and its entry point."""
    folder = tmp_path_factory.mktemp("site")
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (entry,) = re.findall(
        r"```toml\n\[project.entry-points.\"(.*?)\"\]\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    (folder / "acme_indicators.py").write_text(code, encoding="utf-8")
    about = folder / "acme_indicators-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-indicators\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{entry[0]}]\n{entry[1].replace(chr(34), '')}")
    return folder


@pytest.fixture
def indicator(installed, monkeypatch):
    monkeypatch.syspath_prepend(str(installed))
    import acme_indicators

    return acme_indicators.MONEY_FLOW


def bars(n=300, start=0):
    rng = np.random.default_rng(2)
    close = 50 + np.cumsum(rng.normal(0, 0.5, n))
    high, low, volume = close + rng.random(n), close - rng.random(n), rng.integers(1, 1000, n).astype(float)
    values = (close, high, low, close, volume, close * volume, np.arange(n))
    return BarArrays(np.array([0, n - start]), *(v[start:] for v in values))


def test_the_guides_indicator_equals_its_formula(indicator):
    given = bars()
    columns = compute(given, registry=Registry([*REGISTRY, indicator])).columns
    flow = (2 * given.close - given.high - given.low) / (given.high - given.low) * given.volume
    window = np.ones(20)
    expected = np.convolve(flow, window, "valid") / np.convolve(given.volume, window, "valid")
    np.testing.assert_allclose(columns["cmf_20"][19:], expected, rtol=1e-9, atol=1e-12)
    assert np.isnan(columns["cmf_20"][:19]).all()
    np.testing.assert_allclose(columns["ad_line"], np.cumsum(flow), rtol=1e-9, atol=1e-6)


def test_the_guides_indicator_has_no_seam_at_a_cut(indicator):
    registry = Registry([*REGISTRY, indicator])
    whole = compute(bars(), registry=registry)
    start = 230 - registry.lookback()
    rest = compute(bars(start=start), np.array([230 - start]), whole.state[229:230], registry=registry)
    for name in ("cmf_20", "ad_line"):
        np.testing.assert_array_equal(rest.columns[name], whole.columns[name][230:])


def test_an_installed_plug_in_and_a_chosen_indicator_are_columns_of_the_tables(installed, tmp_path):
    chosen = tmp_path / "indicators.yml"
    chosen.write_text("indicators:\n  - name: rsi\n    window: 7\n")
    code = (
        "import json; from pipelines.dbt.home_indicators import home_indicators; "
        "from pipelines.indicators.registry import extensions_fingerprint; "
        "from pipelines.indicators.tables import indicator_tables; mine = home_indicators(); t = indicator_tables(mine); "
        "print(json.dumps([t['indicators_daily'].names, t['indicators_1m'].names, extensions_fingerprint(mine)]))"
    )
    env = {
        **os.environ,
        "MARKETLAKE_INDICATORS": str(chosen),
        "PYTHONPATH": os.pathsep.join([str(installed), str(GUIDE.parents[1])]),
    }
    printed = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    daily, minute, fingerprint = json.loads(printed)
    for names in (daily, minute):
        after = names.index("cmo_14") + 1
        assert names[after : after + 4] == ["cmf_20", "ad_line", "rsi_7", "bars_seen"]
    assert fingerprint != "built-in"
