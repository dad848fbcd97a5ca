"""Alerts: what is wrong is told once, and again after some hours; that it is over once; a failing address shows nothing."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from pipelines.alerts.journal import Alert, Journal
from pipelines.alerts.targets import Message, send_to_all, targets_of
from pipelines.settings import Settings

Command = Callable[..., tuple[int, str, str]]
SECRET = "T0ps3cretToken"
MORNING = datetime(2026, 3, 2, 6, tzinfo=UTC)
FAULT = Alert("XNYS_nightly", "XNYS_nightly failed", "step XNYS/release failed: no bars (run 1b007fd5)", ("session: 2026-03-02",))


class Clock:
    def __init__(self) -> None:
        self.now = MORNING

    def __call__(self) -> datetime:
        return self.now

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told(tmp_path: Path) -> Callable[[], list[dict[str, str]]]:
    path = tmp_path / "told.jsonl"
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Journal:
    targets = targets_of(SecretStr(f"file://{tmp_path}/told.jsonl"))
    return Journal(tmp_path / "state" / "alerts.json", targets, timedelta(hours=24), 5, clock)


@pytest.fixture
def server() -> Iterator[Any]:
    """A webhook on the loopback: what it was sent, and the code that it answers with."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.received.append(json.loads(body))  # type: ignore[attr-defined]
            self.send_response(self.server.code)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    web = HTTPServer(("127.0.0.1", 0), Handler)
    web.received, web.code = [], 200  # type: ignore[attr-defined]
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    yield web
    web.shutdown()
    thread.join()
    web.server_close()


def message(body: str = "the reason") -> Message:
    return Message("a title", body, "failure", MORNING)


def test_the_same_fault_is_told_once_and_again_after_a_day(journal: Journal, clock: Clock, told: Any) -> None:
    journal.report(FAULT)
    clock.later(hours=23)
    # Another run of the same job, failed for the same reason: its id is other.
    journal.report(Alert(FAULT.about, FAULT.title, FAULT.reason.replace("1b007fd5", "2c118fe6")))
    assert [line["title"] for line in told()] == ["XNYS_nightly failed"]
    assert told()[0]["body"] == f"{FAULT.reason}\nsession: 2026-03-02"
    clock.later(hours=1)
    journal.report(FAULT)
    assert len(told()) == 2
    assert told()[1]["body"].endswith("since 2026-03-02T06:00 UTC, 2 times since it was told last")


def test_another_fault_of_the_same_job_is_told_at_once(journal: Journal, told: Any) -> None:
    journal.report(FAULT)
    journal.report(Alert(FAULT.about, FAULT.title, "the gate of bars_1m refused: 2026-03-02"))
    assert [line["body"].split("\n")[0] for line in told()] == [FAULT.reason, "the gate of bars_1m refused: 2026-03-02"]


def test_that_it_is_over_is_told_once_and_only_if_the_fault_was(journal: Journal, told: Any) -> None:
    journal.recover(FAULT.about, "run 12345678 succeeded")
    assert told() == []
    journal.report(FAULT)
    journal.recover(FAULT.about, "run 12345678 succeeded")
    journal.recover(FAULT.about, "run 12345678 succeeded")
    assert [(line["kind"], line["title"]) for line in told()] == [
        ("failure", "XNYS_nightly failed"),
        ("success", "over: XNYS_nightly failed"),
    ]
    journal.report(FAULT)
    assert len(told()) == 3, "after it was over it is news again"


def test_no_more_than_the_limit_is_sent_in_an_hour_and_the_rest_is_counted(journal: Journal, clock: Clock, told: Any) -> None:
    for number in range(8):
        journal.report(Alert(f"job {number}", "failed", f"reason {number}"))
    assert len(told()) == 5
    clock.later(hours=1)
    journal.report(Alert("job 9", "failed", "reason 9"))
    assert told()[-1]["body"] == "reason 9\n3 more messages were held back: see `marketlake doctor`"
    journal.report(Alert("job 7", "failed", "reason 7"))
    assert told()[-1]["body"] == "reason 7"


def test_what_reached_nobody_is_tried_again(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "blocked").write_text("")
    targets = targets_of(SecretStr(f"file://{tmp_path}/blocked/told.jsonl"))
    journal = Journal(tmp_path / "alerts.json", targets, timedelta(hours=24), 5, clock)
    assert list(journal.report(FAULT)) == ["target 1 (file://)"]
    assert journal.open_alerts() == {}
    assert list(journal.report(FAULT)) == ["target 1 (file://)"]


def test_a_damaged_journal_tells_once_more(journal: Journal, told: Any) -> None:
    journal.report(FAULT)
    journal.path.write_text('{"open": 3')
    journal.report(FAULT)
    assert len(told()) == 2


def test_a_webhook_receives_title_and_reason(server: Any) -> None:
    targets = targets_of(SecretStr(f"json://127.0.0.1:{server.server_port}/{SECRET}"))
    assert send_to_all(targets, message()) == {}
    ((received,),) = (server.received,)
    assert (received["title"], received["message"], received["type"]) == ("a title", "the reason", "failure")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("json://127.0.0.1:1/{secret}", "target 1 (json://)"),
        ("json://{secret}:{secret}@127.0.0.1:1/", "target 1 (json://)"),
        ("slack://{secret}/x", "target 1 (slack://)"),
        ("nosuch://{secret}", "target 1 (nosuch://)"),
        ("{secret}", "target 1 (no address://)"),
    ],
)
def test_no_letter_of_an_address_is_in_what_is_said(url: str, told: str, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        (target,) = targets_of(SecretStr(url.format(secret=SECRET)))
        failed = send_to_all([target], message())
    assert list(failed) == [told]
    assert failed[told]
    out, err = capfd.readouterr()
    # What other libraries log below the level of warnings no process of marketlake shows.
    shown = " ".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert SECRET not in "".join((str(failed), repr(target), str(target), out, err, shown))


def test_what_a_plug_in_raises_is_shown_without_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    import apprise

    def raises(*_: Any, **__: Any) -> bool:
        raise ValueError(f"no answer from https://hooks.example/{SECRET}?x=1")

    monkeypatch.setattr(apprise.Apprise, "notify", raises)
    (target,) = targets_of(SecretStr(f"jsons://hooks.example/{SECRET}"))
    assert target.send(message()) == "ValueError: no answer from https://***/***?x=1"


def test_a_server_that_refuses_is_named(server: Any) -> None:
    server.code = 500
    ((name, reason),) = send_to_all(targets_of(SecretStr(f"json://127.0.0.1:{server.server_port}/")), message()).items()
    assert name == "target 1 (json://)"
    assert "500" in reason


def test_the_command_says_which_address_failed(
    home: Settings, server: Any, tmp_path: Path, marketlake: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = marketlake("alerts", "test")
    assert (code, "MARKETLAKE_ALERT_URLS names no address" in err) == (2, True)
    good, bad = f"json://127.0.0.1:{server.server_port}/", f"json://127.0.0.1:1/{SECRET}"
    monkeypatch.setenv("MARKETLAKE_ALERT_URLS", f"{good} {bad} file://{tmp_path}/told.jsonl")
    code, out, err = marketlake("alerts", "test", "--json")
    assert code == 1
    assert [(entry["target"], entry["sent"]) for entry in json.loads(out)] == [
        ("target 1 (json://)", True),
        ("target 2 (json://)", False),
        ("target 3 (file://)", True),
    ]
    assert SECRET not in out + err
    assert "trial message" in server.received[0]["title"]
    assert json.loads((tmp_path / "told.jsonl").read_text())["kind"] == "info"


def test_addresses_come_from_the_environment_alone(
    home: Settings, tmp_path: Path, marketlake: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.home / ".env").write_text(f"MARKETLAKE_ALERT_URLS=slack://{SECRET}\n")
    assert Settings().alert_urls is None
    code, out, err = marketlake("alerts", "test")
    assert (code, "MARKETLAKE_ALERT_URLS holds secrets" in err) == (2, True)
    assert SECRET not in out + err
    monkeypatch.setenv("MARKETLAKE_ALERT_URLS", f"slack://{SECRET}")
    assert SECRET not in f"{Settings()!r} {Settings()} {Settings().model_dump_json()}"
    monkeypatch.setenv("MARKETLAKE_ALERT_REPEAT_HOURS", "0")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert SECRET not in str(refused.value)


@pytest.mark.slow
@pytest.mark.measured
def test_apprise_is_imported_when_an_alert_is_sent() -> None:
    import subprocess
    import sys

    program = (
        "import sys; import pipelines.definitions, pipelines.cli.alerts, pipelines.alerts.journal; print('apprise' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
