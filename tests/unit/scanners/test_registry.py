"""What the manifest says about scanners, and what to do when it says too little."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.scanners.registry import CompiledScanners, ManifestError, load_scanners

Build = Any  # the fixture's record, in conftest.py


def test_the_breakout_declares_moments_and_parameters(compiled: CompiledScanners) -> None:
    scanner = compiled.scanner("breakout_20d")

    assert (scanner.version, scanner.evaluates, scanner.moments) == (3, "forming_daily", ("close",))
    assert scanner.live_moments == ("every_bar",)
    assert scanner.values() == {"volume_factor": 1.5, "stop_atr": 2.0, "target_atr": 3.0, "missing_pct": 2.0}
    assert scanner.values({"stop_atr": 1})["stop_atr"] == 1.0
    assert scanner.relation == "scanners.breakout_20d"


def test_models_come_after_what_they_read(compiled: CompiledScanners) -> None:
    built = frozenset(f"indicators.{name}" for name in ("indicators_daily", "intraday_curves", "intraday_profiles"))
    order = [m.relation for m in compiled.needed(["marts.scanner_signals"], built)]

    assert order[-1] == "marts.scanner_signals"
    assert order.index("scan.bars_prior") < order.index("scanners.breakout_20d")
    assert "marts.data_quality_metrics" not in order


def test_a_missing_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="compile the dbt project first"):
        load_scanners(tmp_path / "manifest.json")


def test_a_manifest_that_was_only_parsed_is_refused(build: Build, tmp_path: Path) -> None:
    content = json.loads(build.manifest.read_text())
    for node in content["nodes"].values():
        node["compiled_code"] = None
    (tmp_path / "manifest.json").write_text(json.dumps(content))

    with pytest.raises(ManifestError, match="not compiled"):
        load_scanners(tmp_path / "manifest.json")


def test_a_scanner_without_a_version_is_refused(build: Build, tmp_path: Path) -> None:
    content = json.loads(build.manifest.read_text())
    del content["nodes"]["model.marketlake_models.breakout_20d"]["config"]["meta"]["scanner"]["version"]
    (tmp_path / "manifest.json").write_text(json.dumps(content))

    with pytest.raises(ManifestError, match=r"breakout_20d: config\.meta\.scanner lacks version"):
        load_scanners(tmp_path / "manifest.json")
