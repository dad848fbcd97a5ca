"""`marketlake quarantine` and `marketlake explain` as typed: what they print, and one clear line for wrong input."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from pipelines.ingest.overrides import Override, Selection, record
from pipelines.ingest.suites import Suite
from tests.support.suites import no_expectations

DAY = date(2024, 1, 2)
ROWS = [
    ("AAPL", DAY, 10, 11, 9, 10, 100),
    ("MSFT", DAY, 10, 40, 1, 10, 100),
    ("IBM", DAY, 10, 9, 11, 10, 100),
    ("IBM", date(2024, 1, 3), 10, 9, 11, 10, 100),
]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def suite() -> Suite:
    """No test here is about the gate."""
    return no_expectations


@pytest.fixture(scope="module")
def set_aside(module_pipeline, bars_csv):
    """A home whose quarantine holds rows 3 to 5 of one delivery."""
    pipeline = replace(module_pipeline, suite=no_expectations)
    pipeline.ingest(pipeline.deliver("bars.csv", bars_csv(ROWS)))
    return pipeline


@pytest.fixture
def marketlake(set_aside, pipeline, marketlake: Command) -> Command:
    """The command in this process, on a copy of that home."""
    pipeline.go_on_from(set_aside)
    return marketlake


@pytest.fixture
def batch(pipeline, marketlake: Command) -> str:
    return str(pipeline.rows("quarantine")["batch_id"][0])


def counts(output: str) -> list[tuple[object, ...]]:
    return [(g["table"], g["rule"], g["session"], g["rows"], g["open"], g["row_number"]) for g in json.loads(output)]


def test_rows_are_counted_by_table_rule_source_and_session(marketlake: Command) -> None:
    code, out, _ = marketlake("quarantine", "list", "--json")
    assert code == 0
    assert counts(out) == [
        ("bars_daily", "high_below_low", "2024-01-02", 1, 1, 4),
        ("bars_daily", "high_below_low", "2024-01-03", 1, 1, 5),
        ("bars_daily", "implausible_range", "2024-01-02", 1, 1, 3),
    ]


def test_for_people_rows_are_totalled_by_delivery_and_rule(marketlake: Command, batch: str) -> None:
    lines = [line.split() for line in marketlake("quarantine", "list")[1].splitlines()]
    named = [line[line.index("bars_daily") :] for line in lines if "bars_daily" in line]
    assert [line[:-2] for line in named] == [
        ["bars_daily", "high_below_low", "2024-01-02", "to", "2024-01-03", "2", "2"],
        ["bars_daily", "implausible_range", "2024-01-02", "1", "1"],
    ]
    assert all(batch.startswith(line[-2]) for line in named)


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (["--rule", "high_below_low"], [4, 5]),
        (["--symbol", "msft"], [3]),
        (["--symbol", "XNYS:IBM", "--session", "2024-01-03"], [5]),
        (["--table", "bars_1m"], []),
        (["--source", "csv", "--session", "2024-01-02"], [4, 3]),
    ],
)
def test_filters_narrow_the_list(marketlake: Command, arguments: list[str], rows: list[int]) -> None:
    _, out, _ = marketlake("quarantine", "list", "--json", *arguments)
    assert [group[-1] for group in counts(out)] == rows


def test_released_rows_are_listed_only_with_all(marketlake: Command, pipeline, batch: str) -> None:
    decided = datetime(2025, 3, 5, tzinfo=UTC)
    decision = Override(Selection(), ("implausible_range",), "as the exchange says", "ada", decided)
    held = pipeline.rows("quarantine").filter(symbol_is("MSFT"))
    record(pipeline.lake, "XNYS", "bars_daily", held, decision)

    assert "implausible_range" not in marketlake("quarantine", "list")[1]
    assert ("bars_daily", "implausible_range", "2024-01-02", 1, 0, 3) in counts(
        marketlake("quarantine", "list", "--all", "--json")[1]
    )
    code, out, _ = marketlake("quarantine", "release", batch[:6], "3", "--reason", "again")
    assert (code, out) == (0, "already released 2025-03-05 00:00:00 UTC by ada: as the exchange says\n")
    shown = json.loads(marketlake("quarantine", "show", batch[:6], "3", "--json")[1])
    assert shown[0]["decision"]["decided_by"] == "ada"


def symbol_is(name: str):
    import polars as pl

    return pl.col("row").str.json_path_match("$.symbol") == name


def test_one_row_is_shown_with_its_reason_and_its_line(marketlake: Command, batch: str) -> None:
    code, out, _ = marketlake("quarantine", "show", batch[:6], "3")
    assert code == 0
    assert re.search(r"^rule: +implausible_range$", out, re.MULTILINE)
    assert re.search(r"^  line: +MSFT,2024-01-02,10,40,1,10,100$", out, re.MULTILINE)
    assert re.search(r"^  name: +bars.csv$", out, re.MULTILINE)


def test_a_bar_is_explained(marketlake: Command, batch: str) -> None:
    code, out, _ = marketlake("explain", "bars_daily", "XNYS:AAPL", "2024-01-02", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["raw_file"]["line"], found["raw_file"]["batch_id"]) == ("AAPL,2024-01-02,10,11,9,10,100", batch)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["quarantine", "show", "zzz", "3"], "no batch of XNYS that begins with 'zzz' has rows in quarantine"),
        (["quarantine", "show", "BATCH", "2"], "row 2 of batch BATCH is not in quarantine; held: 3, 4, 5"),
        (["quarantine", "release", "BATCH", "3"], "--reason: say why"),
        (["quarantine", "release", "BATCH", "--reason", "x"], "name a row by its batch and number, or give at least --table and"),
        (["quarantine", "release", "--rule", "high_below_low", "--reason", "x"], "name a row by its batch and number, or give"),
        (["quarantine", "release", "BATCH", "3", "--overrule", "nothing", "--reason", "x"], "no rule is called 'nothing'"),
        (["quarantine", "list", "--session", "yesterday"], "--session: 'yesterday' is no date"),
        (["explain", "bars_daily", "APPL", "2024-01-02"], "XNYS has no instrument 'APPL'; near: AAPL"),
    ],
)
def test_wrong_input_is_one_line(marketlake: Command, batch: str, arguments: list[str], told: str) -> None:
    code, out, err = marketlake(*(batch[:6] if a == "BATCH" else a for a in arguments))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {told.replace('BATCH', batch[:6])}"), err
    assert err.count("\n") == 1
