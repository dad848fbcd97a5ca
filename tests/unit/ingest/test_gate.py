"""The gate: what a suite refuses, and that nothing is published without its recorded pass."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.ingest import suites
from pipelines.ingest.batches import read_batch
from pipelines.ingest.gate import GateNotPassedError, passed_rows, validate_batch
from pipelines.ingest.publish import publish_staged, run_gate
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.package_data import shipped
from pipelines.quality.profile import profile
from pipelines.sources.registry import load_sources
from tests.support.pipeline import stage_request

GOOD_DAY, BAD_DAY = date(2024, 1, 2), date(2024, 1, 3)
PRIORITIES = {"csv": 10}


def minutes(symbol: str, day: date, prices: list[float]) -> list[tuple[object, ...]]:
    """One-minute bars from the open on."""
    opened = datetime.fromisoformat(f"{day} 09:30")
    return [
        (symbol, opened + timedelta(minutes=n), price, price * 1.01, price * 0.99, price, 100) for n, price in enumerate(prices)
    ]


@pytest.fixture
def staged(pipeline, bars_csv) -> Path:
    """A staged batch of two sessions. One minute of the second is a hundredfold: each row is possible, the session is not."""
    rows = minutes("ODD", GOOD_DAY, [100.0] * 390) + minutes("ODD", BAD_DAY, [100.0] * 200 + [10_000.0] + [100.0] * 189)
    order = pipeline.order(pipeline.deliver("odd.csv", bars_csv(rows)))
    return stage_request(pipeline.lake, order, load_sources(), pipeline.settings.state_dir, pipeline.limits)


def test_a_session_whose_rows_are_possible_one_by_one_is_refused_by_name_and_the_other_passes(staged: Path) -> None:
    validation = validate_batch("XNYS", "bars_1m", read_batch(staged, "bars_1m"))

    assert read_batch(staged, "bars_1m").height == 780
    assert validation.refused == {BAD_DAY: ("range_is_possible",)}
    assert validation.passed == (GOOD_DAY,)
    assert "range_is_usual" in [j.name for j in validation.warnings]


def test_rows_of_a_refused_session_are_kept_under_the_expectation_and_the_rest_is_published(pipeline, staged: Path) -> None:
    state = pipeline.settings.state_dir
    for table in ("instruments", "bars_1m"):
        run_gate(pipeline.lake, "XNYS", table, staged, state)
    publish_staged(pipeline.lake, "XNYS", "instruments", staged, state, PRIORITIES)
    done = publish_staged(pipeline.lake, "XNYS", "bars_1m", staged, state, PRIORITIES)

    assert done.accepted == 390
    assert pipeline.rows("bars_1m")["session_date"].unique().to_list() == [GOOD_DAY]
    assert set(pipeline.quarantined()) == {("bars_1m", "session_refused:range_is_possible")}
    assert pipeline.rows("quarantine").select("session_date", "rule").unique().height == 1
    assert pipeline.rows("quarantine").height == 390


def test_publishing_without_a_verdict_is_refused(pipeline, staged: Path) -> None:
    with pytest.raises(GateNotPassedError, match=r"run the check gate_bars_1m on staged_bars_1m first"):
        publish_staged(pipeline.lake, "XNYS", "bars_1m", staged, pipeline.settings.state_dir, PRIORITIES)
    assert pipeline.table("bars_1m").version() is None


def test_a_pass_does_not_cover_rows_that_changed_after_it(pipeline, staged: Path) -> None:
    state = pipeline.settings.state_dir
    run_gate(pipeline.lake, "XNYS", "bars_1m", staged, state)
    rows = read_batch(staged, "bars_1m")
    assert passed_rows("bars_1m", rows, state)[0](rows).height == 390

    tampered = rows.with_columns(close=pl.when(pl.int_range(pl.len()) == 0).then(99.5).otherwise("close"))
    for changed in (tampered, rows.head(-1), rows.reverse()):
        with pytest.raises(GateNotPassedError):
            passed_rows("bars_1m", changed, state)
    tampered.write_parquet(staged / "bars_1m.parquet")
    with pytest.raises(GateNotPassedError):
        publish_staged(pipeline.lake, "XNYS", "bars_1m", staged, state, PRIORITIES)


def test_a_pass_of_an_older_suite_does_not_count(pipeline, staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = pipeline.settings.state_dir
    run_gate(pipeline.lake, "XNYS", "bars_1m", staged, state)
    suite = json.loads((shipped("expectations") / "bars_1m.json").read_text())
    suite["expectations"][-1]["kwargs"]["min_value"] = 0.81
    changed = tmp_path / "bars_1m.json"
    changed.write_text(json.dumps(suite))
    monkeypatch.setattr(suites, "suite_path", lambda table: changed)

    with pytest.raises(GateNotPassedError):
        publish_staged(pipeline.lake, "XNYS", "bars_1m", staged, state, PRIORITIES)


@pytest.mark.slow
@pytest.mark.measured
def test_a_price_beyond_all_quotes_refuses_the_day_of_every_instrument(pipeline, bars_csv) -> None:
    """One session of a table goes in whole or not at all: a scaling error seldom comes alone."""
    rows = [
        ("FINE", "2024-01-02", 10, 11, 9, 10, 1),
        ("HUGE", "2024-01-02", 2e7, 2e7, 2e7, 2e7, 1),
        ("FINE", "2024-01-03", 10, 11, 9, 10, 1),
    ]
    figures = pipeline.ingest(pipeline.deliver("bars.csv", bars_csv(rows)))["bars_daily"]
    assert (figures["accepted"], figures["quarantined"]) == (1, 2)
    assert pipeline.quarantined() == [("bars_daily", "session_refused:prices_are_bounded")] * 2


def test_the_profile_tells_the_figures_that_a_person_would_count(pipeline, staged: Path) -> None:
    days = calendar("XNYS")
    (good, bad) = profile("bars_1m", read_batch(staged, "bars_1m"), days).iter_rows(named=True)
    assert (good["rows"], good["distinct_rows"], good["expected_rows"], good["completeness"]) == (390, 390, 390, 1.0)
    assert (good["lowest_low"], good["highest_high"], good["volume"]) == (99.0, 101.0, 39_000)
    assert bad["range_ratio"] == pytest.approx(10_100 / 99)
    assert (good["foreign_rows"], bad["session"]) == (0, BAD_DAY)


@pytest.mark.parametrize(
    "table", ["bars_1m", "bars_1m_extended", "bars_daily", "corporate_actions", "instrument_aliases", "instruments"]
)
def test_every_expectation_has_a_name_a_severity_and_a_reason(table: str) -> None:
    suite = json.loads((shipped("expectations") / f"{table}.json").read_text())
    names = [e["meta"]["name"] for e in suite["expectations"]]
    assert suite["name"] == table
    assert table in TABLES
    assert len(names) == len(set(names)) > 0
    assert {e["severity"] for e in suite["expectations"]} <= {"critical", "warning"}
    assert "critical" in {e["severity"] for e in suite["expectations"]}
    assert all(e["meta"]["why"].endswith(".") for e in suite["expectations"])
