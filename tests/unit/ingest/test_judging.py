"""An order of which gates refuse something: its files are parsed once, the rest is staged, and nothing passes unjudged."""

from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.ingest import parsing
from pipelines.ingest.arrivals import collect
from pipelines.ingest.batches import counts_by_session, read_batch, read_refusals
from pipelines.ingest.dry_run import run_dry
from pipelines.ingest.gate import GateNotPassedError
from pipelines.ingest.judging import stage_judged
from pipelines.ingest.publish import publish_staged, run_gate
from pipelines.sources.reading import read_file
from pipelines.sources.registry import load_sources, source
from tests.support.pipeline import ARRIVED

GOOD_DAY, BAD_DAY = date(2024, 1, 3), date(2024, 1, 2)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that sources were asked to read, each time that they were."""
    names: list[str] = []

    def count(sources, name, raw, options):
        names.append(raw.name)
        return read_file(sources, name, raw, options)

    monkeypatch.setattr(parsing, "read_file", count)
    return names


def two_sessions(bars_csv) -> str:
    """Minutes of ODD on two days, one at a hundredfold on the first; each row is possible, that session is not."""
    rows = []
    for day, odd in ((BAD_DAY, 10_000.0), (GOOD_DAY, 100.0)):
        opened = datetime.fromisoformat(f"{day} 09:30")
        closes = [odd if minute == 30 else 100.0 for minute in range(60)]
        rows += [("ODD", opened + timedelta(minutes=minute), c, c, c, c, 100) for minute, c in enumerate(closes)]
    return bars_csv(rows)


@pytest.fixture
def case(pipeline, bars_csv, parsed: list[str]) -> SimpleNamespace:
    order = pipeline.order(pipeline.deliver("odd.csv", two_sessions(bars_csv)))
    folder = stage_judged(pipeline.lake, order, load_sources(), pipeline.settings.state_dir, pipeline.limits)
    return SimpleNamespace(pipeline=pipeline, folder=folder, parsed=parsed)


def test_what_is_refused_is_left_out_and_named_and_the_file_is_parsed_once(case: SimpleNamespace) -> None:
    assert case.parsed == ["odd.csv"]
    assert read_batch(case.folder, "bars_1m")["session_date"].unique().to_list() == [GOOD_DAY]
    refusals = read_refusals(case.folder)
    assert refusals["bars_1m"]["description"] == f"refused: {BAD_DAY}: range_is_possible"
    assert (refusals["bars_1m"]["sessions"], refusals["bars_1m"]["sessions_refused"]) == (2, 1)
    assert set(case.pipeline.quarantined()) == {("bars_1m", "session_refused:range_is_possible")}
    read, held = counts_by_session(case.folder, "bars_1m")
    assert (read["rows"].sum(), held["rows"].sum()) == (120, 60)


def test_an_instrument_is_listed_from_the_first_session_that_is_left(case: SimpleNamespace) -> None:
    assert read_batch(case.folder, "instruments").select("symbol", "valid_from").rows() == [("ODD", GOOD_DAY)]


def test_what_is_left_needs_a_pass_of_its_own(case: SimpleNamespace) -> None:
    pipeline, state = case.pipeline, case.pipeline.settings.state_dir
    with pytest.raises(GateNotPassedError):
        publish_staged(pipeline.lake, "XNYS", "instruments", case.folder, state, {"csv": 10})
    for table in ("instruments", "bars_1m"):
        assert not run_gate(pipeline.lake, "XNYS", table, case.folder, state).refused
        publish_staged(pipeline.lake, "XNYS", table, case.folder, state, {"csv": 10})
    assert pipeline.rows("bars_1m").height == 60


def test_an_order_of_which_nothing_is_refused_has_no_refusals(pipeline, bars_csv, parsed: list[str]) -> None:
    order = pipeline.order(pipeline.deliver("fine.csv", bars_csv([("FINE", "2024-01-03", 10, 11, 9, 10, 1)])))
    folder = stage_judged(pipeline.lake, order, load_sources(), pipeline.settings.state_dir, pipeline.limits)
    assert read_refusals(folder) == {}
    assert parsed == ["fine.csv"]


def test_a_dry_run_parses_once_too(pipeline, bars_csv, parsed: list[str], tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(two_sessions(bars_csv))
    found = collect(pipeline.lake, "XNYS", [path], source("csv"), received_at=ARRIVED, store=False)
    tried = run_dry(pipeline.lake, found.order, load_sources(), found.paths, pipeline.limits)
    assert tried.tables["bars_1m"]["quarantined"] == 60
    assert len(parsed) == 1
