"""`marketlake instruments split` as typed: one clear line for wrong input, and the whole way of a right one."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from pipelines.ingest.accounting import Account
from pipelines.ingest.suites import Suite
from pipelines.orchestration import ingest_run
from tests.support.suites import no_expectations

D1, D2, D3 = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)
Command = Callable[..., tuple[int, str, str]]
WHY = ("--reason", "another company, said the exchange")


@pytest.fixture
def suite() -> Suite:
    return no_expectations


@pytest.fixture(scope="module")
def taken_in(module_pipeline, bars_csv):
    """A home with three bars of one share."""
    pipeline = replace(module_pipeline, suite=no_expectations)
    pipeline.ingest(pipeline.deliver("d.csv", bars_csv([("TWICE", day, 10, 11, 9, 10, 100 + day.day) for day in (D1, D2, D3)])))
    return pipeline


@pytest.fixture
def held(taken_in, pipeline):
    """A copy of that home."""
    return pipeline.go_on_from(taken_in)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("TWICE", "--from", "2024-01-04"), "--reason: say why"),
        (("TWICE", "--from", "2024-01-04", "--reason", "  "), "--reason: say why"),
        (("TWICE", "--from", "2024-99-04", *WHY), "--from: '2024-99-04' is no date"),
        (("NONE", "--from", "2024-01-04", *WHY), "no instrument of XNYS has the ticker NONE on 2024-01-04"),
        (("TWICE", "--from", "2024-01-02", *WHY), "no bars of TWICE before 2024-01-02"),
        (("TWICE", "--from", "2024-01-05", *WHY), "no bars of TWICE from 2024-01-05 on"),
        (("TWICE", "--from", "2024-01-04", "--name", "[red]", *WHY), "--name: '[red]' cannot name an instrument"),
        (("TWICE", "--from", "2024-01-04", "--name", "TWICE", *WHY), "XNYS:TWICE is an instrument already"),
        (("TWICE", "--from", "2024-01-04", "--decided-at", "2999-01-01T00:00:00+00:00", *WHY), "lies in the future"),
    ],
)
def test_wrong_input_is_one_line_and_ends_with_two(held, marketlake: Command, arguments, says: str) -> None:
    pipeline = held
    code, out, err = marketlake("instruments", "split", *arguments)
    assert code == 2
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert set(pipeline.rows("bars_daily")["instrument_id"]) == {"XNYS:TWICE"}


def test_a_split_that_something_new_on_record_contradicts_is_no_success(held, marketlake: Command, monkeypatch) -> None:
    """Between look and ingest a ticker history arrives that says whose the ticker is: the file is accepted, its row is not."""
    pipeline = held

    def ingest_after_a_history(_settings, order):  # type: ignore[no-untyped-def]
        pipeline.ingest(pipeline.deliver("map_files/twice.csv", "20200102,twice,N\n20501231,twice,N\n", source="lean"))
        pipeline.ingest(*order.deliveries)
        return report(refused={})

    monkeypatch.setattr(ingest_run, "ingest", ingest_after_a_history)
    code, out, err = marketlake("instruments", "split", "TWICE", "--from", "2024-01-04", *WHY)
    assert (code, out) == (1, "")
    assert "TWICE is not parted on 2024-01-04 as asked: the ticker history on record says that TWICE is XNYS:TWICE" in err
    assert set(pipeline.rows("bars_daily")["instrument_id"]) == {"XNYS:TWICE"}


def test_a_split_of_which_the_gate_refuses_something_is_no_success(held, marketlake: Command, monkeypatch) -> None:
    pipeline = held

    def ingest_in_part(_settings, order):  # type: ignore[no-untyped-def]
        pipeline.ingest(*order.deliveries)
        return report(refused={"instruments": ["refused: 2024-01-04: ids_are_unique"]})

    monkeypatch.setattr(ingest_run, "ingest", ingest_in_part)
    code, out, err = marketlake("instruments", "split", "TWICE", "--from", "2024-01-04", *WHY)
    assert (code, out) == (1, "")
    assert "the gate of instruments refused: 2024-01-04: ids_are_unique" in err
    assert "--exchange XNYS --reason …` takes the decision back" in err


def report(refused: dict[str, list[str]]) -> ingest_run.IngestReport:
    """What an ingest says whose one file was accepted."""
    return ingest_run.IngestReport(
        [{"path": "a.csv", "status": "accepted", "rows": 1}], {}, refused, "run", pl.DataFrame(), Account(), 0.01
    )


@pytest.mark.slow
def test_a_split_is_recorded_explained_done_once_and_taken_back(dagster_pipeline, held, marketlake: Command) -> None:
    pipeline = held
    asked = ("instruments", "split", "twice", "--from", "2024-01-04", *WHY, "--json")
    code, out, _ = marketlake(*asked)
    done = json.loads(out)
    assert (code, done["status"], done["holder"], done["new_id"]) == (0, "split", "XNYS:TWICE", "XNYS:TWICE:2024-01-04")
    assert done["rows"] == {"bars_daily": 1}
    owners = pipeline.rows("bars_daily").sort("session_date")["instrument_id"].to_list()
    assert owners == ["XNYS:TWICE", "XNYS:TWICE", "XNYS:TWICE:2024-01-04"]
    assert json.loads(marketlake(*asked)[1])["status"] == "split before"
    moved = pipeline.rows("instrument_aliases").filter(pl.col("instrument_id") == "XNYS:TWICE:2024-01-04")
    assert moved["batch_id"].to_list() == [done["batch_id"]]
    code, _, _ = marketlake("withdraw", done["batch_id"], "--reason", "it was one company")
    assert code == 0
    assert set(pipeline.rows("bars_daily")["instrument_id"]) == {"XNYS:TWICE"}
    assert json.loads(marketlake(*asked)[1])["status"] == "split"
