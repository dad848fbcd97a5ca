"""The index names every report of the folder, and says what its verdict is."""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.reports.index import write_index
from tests.unit.reports.test_run_report import page_of, reported


def test_the_index_links_every_page_by_its_title_and_verdict(tmp_path: Path) -> None:
    (tmp_path / "XNYS_walk_0123.html").write_text(page_of(reported(30)), encoding="utf-8")
    (tmp_path / "XNYS_scoreboard.html").write_text("<title>Scoreboard &amp; more</title>", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no report", encoding="utf-8")
    page = write_index(tmp_path).read_text(encoding="utf-8")
    assert re.findall(r'<a href="([^"]+)">', page) == ["XNYS_scoreboard.html", "XNYS_walk_0123.html"]
    assert "Scoreboard &amp; more" in page
    assert "Too short to say anything: 30 sessions" in page


def test_the_index_of_the_same_pages_is_left_alone(tmp_path: Path) -> None:
    path = write_index(tmp_path)
    before = path.stat().st_mtime_ns
    assert write_index(tmp_path).stat().st_mtime_ns == before
    assert "No report yet" in path.read_text(encoding="utf-8")
