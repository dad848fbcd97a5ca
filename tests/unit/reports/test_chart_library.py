"""The chart library that ships is the one of the npm package that is named beside it, byte for byte."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from pipelines.reports.pages import chart_library
from tests.support.chart_library import STATIC, check_package

FILES = {name: STATIC / f"lightweight-charts{ending}" for name, ending in (("script", ".js"), ("licence", ".LICENSE.txt"))}


def test_the_script_is_the_one_that_was_pinned():
    said = chart_library()
    script = FILES["script"].read_bytes()
    assert hashlib.sha256(script).hexdigest() == said["sha256"]
    assert f"TradingView Lightweight Charts™ v{said['version']}".encode() in script[:200]
    assert said["notice"].startswith(f"TradingView Lightweight Charts™ {said['version']}, Copyright (c) 2026 TradingView, Inc.")
    assert "Apache License" in FILES["licence"].read_text(encoding="utf-8")
    notice = (STATIC.parents[2] / "NOTICE").read_text(encoding="utf-8")
    assert "TradingView Lightweight Charts" in notice


def test_a_package_of_another_content_is_refused(tmp_path: Path):
    package = tmp_path / "lightweight-charts-5.2.0.tgz"
    package.write_bytes(b"another package")
    with pytest.raises(ValueError, match="sha512-"):
        check_package(package, chart_library()["integrity"])
    right = "sha512-" + base64.b64encode(hashlib.sha512(b"another package").digest()).decode()
    check_package(package, right)
