"""`dg` in the checkout, as a Dagster engineer starts: pyproject.toml leads it to the definitions, and they are all there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DG = Path(sys.executable).with_name("dg")


def start(*arguments: str) -> "subprocess.Popen[str]":
    # Started as after `source .venv/bin/activate`; the home is in the environment.
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix, "PATH": f"{DG.parent}:{os.environ['PATH']}"}
    environment.pop("DAGSTER_HOME", None)
    return subprocess.Popen([DG, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(not DG.exists(), reason="dagster-dg-cli is not installed")
def test_dg_checks_and_lists_the_definitions_of_a_checkout(dagster_pipeline: Any) -> None:
    checking, listing = start("check", "defs"), start("list", "defs", "--json")
    (checked, problems), (listed, warnings) = (process.communicate(timeout=500) for process in (checking, listing))
    assert checking.returncode == 0, problems
    assert "All definitions loaded successfully." in checked + problems
    assert listing.returncode == 0, warnings

    found = json.loads(listed)
    names = {kind: {entry["name"] for entry in found[kind]} for kind in ("jobs", "schedules", "sensors")}
    assert {"XNYS_ingest", "XNYS_nightly", "maintenance"} <= names["jobs"]
    assert names["schedules"] == {"XNYS_nightly_schedule", "maintenance_schedule"}
    assert {"XNYS_live_inbox", "XNYS_vendor_inbox"} <= names["sensors"]
    assets = {asset["asset_key"]: asset for asset in found["assets"]}
    assert assets["XNYS/bars_daily"]["dependency_keys"] == ["XNYS/instruments", "XNYS/staged_bars_daily"]
    assert "XNYS/staged_bars_1m:gate_bars_1m" in {check["key"] for check in found["asset_checks"]}
