"""Suspected actions in words, with commands that decide them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from pipelines.ingest.accounting import Account
from pipelines.ingest.suspected_actions import describe_suspects
from pipelines.orchestration.ingest_run import IngestReport
from pipelines.reports.news import News
from pipelines.storage.delta import Change, empty_frame
from tests.support.suites import no_expectations

RELIANCE = {
    "symbol": "M&M",
    "instrument_id": "XNSE:M&M",
    "session_date": date(2017, 12, 21),
    "flag": "unrecorded_split",
    "since": date(2017, 12, 20),
    "price_ratio": 0.4814,
    "split_ratio": 2.0,
}


def test_a_suspect_is_said_with_the_commands_that_decide_it(pipeline) -> None:
    lines = describe_suspects("XNSE", pl.DataFrame([RELIANCE]), withheld=True)
    assert lines[0] == (
        "suspected action: M&M on 2017-12-21: close at 0.4814 of that of 2017-12-20, "
        "looks like a split or bonus, 2 new shares for 1; none is recorded"
    )
    assert lines[1].endswith(
        "printf 'symbol,ex_date,action,ratio\\nM&M,2017-12-21,split,2\\n' > action-MandM-2017-12-21.csv"
        " && marketlake ingest action-MandM-2017-12-21.csv --source actions --exchange XNSE"
    )
    assert "withheld until then" in lines[1]
    assert "M&M,2017-12-21,true_move,\\n'" in lines[2]


def test_what_the_commands_write_is_read_as_the_action(pipeline, bars_csv) -> None:
    for line in describe_suspects("XNYS", pl.DataFrame([RELIANCE]), withheld=False)[1:]:
        text = line.split("printf '")[1].split("'")[0].replace("\\n", "\n")
        pipeline.ingest(pipeline.deliver("action-x.csv", text, source="actions"))
    rows = pipeline.rows("corporate_actions").sort("action").select("instrument_id", "ex_date", "action", "ratio").rows()
    day = RELIANCE["session_date"]
    assert rows == [("XNYS:M&M", day, "split", 2.0), ("XNYS:M&M", day, "true_move", None)]
    assert pipeline.quarantined() == []


def test_many_are_cut_short_and_none_says_nothing() -> None:
    many = pl.DataFrame([RELIANCE] * 14)
    assert sum(line.startswith("suspected") for line in describe_suspects("XNSE", many, withheld=True)) == 10
    assert "and 4 more" in describe_suspects("XNSE", many, withheld=True)[10]
    assert describe_suspects("XNSE", many.clear(), withheld=True) == []


@pytest.fixture
def suspected(pipeline, bars_csv):
    """A home with bars of M&M and one suspected action as a nightly run would have left it."""
    pipeline = replace(pipeline, suite=no_expectations)
    pipeline.ingest(pipeline.deliver("bars.csv", bars_csv([("M&M", "2017-12-21", 10, 11, 9, 10, 100)])))
    table = pipeline.table("price_flags")
    row = {**RELIANCE, "instrument_id": "XNYS:M&M", "exchange": "XNYS", "session_year": 2017}
    rows = pl.concat([empty_frame(table.schema), pl.DataFrame([row])], how="diagonal_relaxed")
    table.update(lambda _: Change(rows.select(table.schema.names), [2017]), {"why": "planted"})
    return pipeline


def _ingest(pipeline, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    (pipeline.settings.home / "more.csv").write_text("symbol,date,open,high,low,close,volume\nM&M,2017-12-22,10,11,9,10,100\n")
    report = IngestReport([], {}, {}, "run", pl.DataFrame([RELIANCE]), Account(), 1.0)
    monkeypatch.setattr("pipelines.orchestration.ingest_run.ingest", lambda settings, request: report)
    return "ingest", "more.csv", "--source", "csv"


def _nightly(pipeline, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    new = News("r1", None, is_new=False, sessions=(), signals={}, withdrawn=0, findings={})
    monkeypatch.setattr("pipelines.orchestration.nightly_run.nightly", lambda *_, **__: None)
    summary = {"release_id": None, "checks_failed": [], "new": new}
    monkeypatch.setattr("pipelines.orchestration.nightly_run.nightly_summary", lambda *_: summary)
    return "nightly", "--yes"


def _scan(pipeline, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.setattr("pipelines.cli.scan_run.run_scan", lambda *_, **__: {})
    monkeypatch.setattr("pipelines.cli.scan_printing.print_scan", lambda *_: None)
    return "scan", "--at", "2017-12-22"


def _explain(pipeline, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    return "explain", "bars_daily", "M&M", "2017-12-21"


@pytest.mark.parametrize("command", [_ingest, _nightly, _scan, _explain], ids=lambda command: command.__name__[1:])
def test_every_command_that_works_with_the_share_says_so_with_the_command_that_decides(
    suspected, marketlake: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    code, out, err = marketlake(*command(suspected, monkeypatch))
    assert (code, err) == (0, "") or err.endswith("…\n"), err
    assert "suspected action: M&M on 2017-12-21: close at 0.4814 of that of 2017-12-20" in out
    assert "M&M,2017-12-21,split,2" in out
    assert "marketlake ingest action-MandM-2017-12-21.csv --source actions --exchange XNYS" in out
