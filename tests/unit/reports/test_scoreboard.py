"""The scoreboard: scanners and runs after costs beside their base rates, as a view, a page, and linked to the reports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.backtest.update import add_result
from pipelines.backtest.verdict.stored import has_verdict, store_verdict
from pipelines.market.tables import TABLES
from pipelines.market.tables.views import SCOREBOARD
from pipelines.reports.scoreboard import write_scoreboard
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.scoreboard import read_scoreboard
from pipelines.storage.upsert import replace_rows
from tests.support.report_page import a_run, page_of, reported

MIC = "XNSE"


def performance(**changed: Any) -> dict[str, Any]:
    row = {
        **dict.fromkeys(TABLES["scanner_performance"].names),
        **{name: 0 for name, kind in empty_frame(TABLES["scanner_performance"]).schema.items() if kind == pl.Int64},
        "exchange": MIC, "scanner_name": "walk_scanner", "parameters_hash": "p", "universe": "all", "horizon": "5", "side": "ALL",
        "scope": "all", "total_signals": 40, "win_rate": 0.55, "base_rate": 0.5, "edge": 0.05, "edge_q_value": 0.2,
        "avg_return": 0.01, "base_return": 0.008, "profit_factor": 1.5,
    }  # fmt: skip
    return row | changed


def lake_with_everything(folder: Path) -> Lake:
    lake, schema = Lake(str(folder / "lake")), TABLES["scanner_performance"]
    rows = [performance(), performance(side="BUY", edge=0.5), performance(scope="non_overlapping", edge=0.6)]
    frame = pl.DataFrame(rows, schema=dict(empty_frame(schema).schema))
    replace_rows(lake, MIC, schema, frame, lambda stored: pl.repeat(True, stored.height, eager=True), None, {})
    result = a_run()[1]
    add_result(lake, MIC, result)
    store_verdict(lake, MIC, result.run_id, reported().evidence)
    return lake


def test_a_row_for_each_scanner_s_horizon_and_each_run(tmp_path: Path) -> None:
    lake = lake_with_everything(tmp_path)
    rows = read_scoreboard(lake, MIC)
    assert rows.columns == list(SCOREBOARD.names)
    assert rows.select("kind", "name", "horizon").rows() == [("scanner", "walk_scanner", "5"), ("strategy", "walk", "portfolio")]
    scanner, strategy = rows.to_dicts()
    assert (scanner["win_rate"], scanner["base_rate"], scanner["edge"], scanner["outcomes"]) == (0.55, 0.5, 0.05, 40)
    trades, evidence = a_run()[1].trades, reported().evidence
    assert strategy["win_rate"] == (trades["pnl"] > 0).mean()
    assert strategy["base_rate"] == evidence.base_win_rate
    assert strategy["edge"] == strategy["win_rate"] - strategy["base_rate"]
    assert strategy["base_return"] == evidence.base_return
    assert strategy["sentence"]


def test_a_run_without_a_verdict_is_there_and_has_no_base_rate(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    add_result(lake, MIC, a_run()[1])
    (row,) = read_scoreboard(lake, MIC).to_dicts()
    assert (row["kind"], row["base_rate"], row["edge"], row["verdict"]) == ("strategy", None, None, None)


def test_the_page_links_runs_to_their_reports_and_the_index_to_the_page(tmp_path: Path) -> None:
    lake, folder = lake_with_everything(tmp_path), tmp_path / "reports"
    folder.mkdir()
    (folder / "XNSE_walk.html").write_text(page_of(reported()), encoding="utf-8")
    path, _ = write_scoreboard(lake, MIC, folder)
    page = path.read_text(encoding="utf-8")
    assert re.findall(r'<td><a href="([^"]+)">walk</a>', page) == ["XNSE_walk.html"]
    assert 'href="XNSE_scoreboard.html"' in (folder / "index.html").read_text(encoding="utf-8")
    before = path.read_bytes()
    write_scoreboard(lake, MIC, folder)
    assert path.read_bytes() == before


def test_the_verdict_of_a_run_that_is_stored_no_more_goes_with_it(tmp_path: Path) -> None:
    lake = lake_with_everything(tmp_path)
    run_id = a_run()[1].run_id
    assert has_verdict(lake, MIC, run_id)
    other = a_run(40)[1]
    add_result(lake, MIC, other, [run_id])
    store_verdict(lake, MIC, other.run_id, reported(40).evidence)
    table = LakeTable(lake.table_uri(MIC, "backtest_verdicts"), TABLES["backtest_verdicts"])
    assert table.read()["run_id"].to_list() == [other.run_id]
