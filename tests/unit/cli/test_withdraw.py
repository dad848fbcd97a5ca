"""`marketlake withdraw` as typed: what it prints, one clear line for wrong input, and a second try after a crash."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from pipelines.ingest.suites import Suite
from pipelines.storage.locks import home_lock
from tests.support.suites import no_expectations

DAY, NEXT = date(2024, 1, 2), date(2024, 1, 3)
WHY = ("--reason", "the vendor sent last year's file")
AT = ("--withdrawn-at", "2024-03-01T09:00:00+00:00")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def suite() -> Suite:
    """No test here is about the gate."""
    return no_expectations


@pytest.fixture(scope="module")
def restated(module_pipeline, bars_csv):
    """A home with a delivery that restated one bar and brought another, and the name of its batch."""
    pipeline = replace(module_pipeline, suite=no_expectations)
    arrivals = [datetime(2024, 2, day, tzinfo=UTC) for day in (1, 2)]
    pipeline.ingest(pipeline.deliver("good.csv", bars_csv([("AAPL", DAY, 10, 11, 9, 10, 100)]), received_at=arrivals[0]))
    wrong = bars_csv([("AAPL", DAY, 20, 21, 19, 20, 100), ("AAPL", NEXT, 20, 21, 19, 20, 100)])
    delivery = pipeline.deliver("wrong.csv", wrong, received_at=arrivals[1])
    pipeline.ingest(delivery)
    return pipeline, delivery.batch_id


@pytest.fixture
def batch(restated, pipeline) -> str:
    home, name = restated
    pipeline.go_on_from(home)
    return name


@pytest.fixture
def marketlake(pipeline, monkeypatch: pytest.MonkeyPatch, marketlake: Command) -> Command:
    monkeypatch.setenv("MARKETLAKE_EXCHANGES", "XNSE,XNYS")
    return marketlake


def test_it_says_what_went_and_what_came_back_on_whichever_exchange_the_batch_is(marketlake: Command, batch: str) -> None:
    code, out, _ = marketlake("withdraw", batch[:8], *WHY, *AT)

    assert code == 0
    assert f"wrong.csv (batch {batch}) is withdrawn from XNYS" in out
    assert ["bars_daily", "1", "1"] in [line.split() for line in out.splitlines()]
    assert "`marketlake nightly`" in out


def test_the_second_time_it_says_when_and_why_it_was_done(marketlake: Command, batch: str) -> None:
    marketlake("withdraw", batch, *WHY, *AT)

    code, out, _ = marketlake("withdraw", batch, "--reason", "once more", "--json")

    told = json.loads(out)
    assert code == 0
    assert (told["status"], told["reason"], told["tables"]) == ("withdrawn before", WHY[1], {})
    assert told["withdrawn_at"].startswith("2024-03-01 09:00")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["0000"], "error: --reason: say why"),
        (["0000", *WHY], "error: no delivery of XNSE or XNYS has a batch that begins with '0000'"),
        (["0000", *WHY, "--exchange", "XNSE"], "error: no delivery of XNSE has a batch"),
        (
            ["0000", *WHY, "--withdrawn-at", "2999-01-01T00:00:00+00:00"],
            "error: --withdrawn-at: 2999-01-01 00:00 UTC lies in the future",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(marketlake: Command, batch: str, arguments: list[str], line: str) -> None:
    code, out, err = marketlake("withdraw", *arguments)

    assert (code, out) == (2, "")
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_another_writer_at_work_is_named(pipeline, batch: str) -> None:
    with home_lock(pipeline.settings.state_dir, "nightly run of XNYS"):
        process = _run(pipeline, batch)

    assert process.returncode == 1
    assert "nightly run of XNYS" in process.stderr


@pytest.mark.slow
@pytest.mark.parametrize("point", ["raw.registered", "superseded.committed", "lake.committed:1", "lake.committed:3"])
def test_killed_at_a_commit_point_the_same_command_completes_it(pipeline, batch: str, point: str) -> None:
    killed = _run(pipeline, batch, MARKETLAKE_CRASH_AT=point)
    assert killed.returncode == -signal.SIGKILL

    # The moment and the reason are those on record, whatever the second command says.
    assert _run(pipeline, batch).returncode == 0

    assert pipeline.rows("bars_daily").select("session_date", "close", "known_at").rows() == [
        (DAY, 10.0, datetime(2024, 3, 1, 9, tzinfo=UTC))
    ]
    assert pipeline.rows("bars_daily_superseded").sort("close", "session_date")["close"].to_list() == [10.0, 20.0, 20.0]
    assert pipeline.rows("instruments")["symbol"].to_list() == ["AAPL"]


def _run(pipeline, batch: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    run = "import sys; from pipelines.cli.app import main; sys.argv[0] = 'marketlake'; main()"
    known = {**os.environ, "MARKETLAKE_HOME": str(pipeline.settings.home), "MARKETLAKE_EXCHANGES": "XNYS", **environment}
    arguments = [sys.executable, "-c", run, "withdraw", batch, *WHY, *AT]
    return subprocess.run(
        arguments, env=known, cwd=pipeline.settings.home, capture_output=True, text=True, timeout=180, check=False
    )
