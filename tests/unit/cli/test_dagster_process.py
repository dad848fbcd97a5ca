"""Dagster's programs under `marketlake ui`: started at the same time and ended together. The code server is a stand-in."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer
import yaml

from pipelines.cli.dagster_process import Programs, Start, start_session
from pipelines.cli.serving import EndedError, raise_ended

WAITING = [sys.executable, "-m", "pipelines.orchestration.dagster_program"]


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def stand_in(code_server: str) -> Start:
    """Starts a script in the code server's place, and the other programs as they are."""

    def start(arguments: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
        return start_session([code_server] if "code-server" in arguments else arguments, environment, folder)

    return start


def is_gone(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


@pytest.mark.slow
@pytest.mark.measured
def test_a_program_loads_at_once_and_runs_when_the_code_server_answers(tmp_path: Path) -> None:
    path = tmp_path / "code"
    with subprocess.Popen([*WAITING, str(path), "marketlake", "--version"], stdout=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert printed.startswith("marketlake ")


@pytest.mark.slow
@pytest.mark.measured
def test_a_program_that_waits_ends_by_an_interrupt_without_a_word(tmp_path: Path) -> None:
    with subprocess.Popen([*WAITING, str(tmp_path / "code"), "marketlake", "--version"], stderr=subprocess.PIPE) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == b""


def test_all_are_started_before_the_code_server_answers_and_end_together(tmp_path: Path) -> None:
    # A shell would heed the interrupt only when its command has ended.
    never_answers = stand_in(script(tmp_path / "never_answers", "exec sleep 600"))
    programs = Programs(tmp_path, dict(os.environ), tmp_path, never_answers)
    with programs.ended_together():
        programs.start_code_server()
        programs.start("dagster-webserver")
        programs.start("dagster-daemon", "run")
        started = programs.processes
        assert len(started) == 3
        assert not any(map(is_gone, started))
    assert all(map(is_gone, started))
    (location,) = yaml.safe_load((tmp_path / "workspace.yaml").read_text())["load_from"]
    assert location["grpc_server"]["location_name"] == "marketlake"


def test_a_code_server_that_cannot_start_ends_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    programs = Programs(tmp_path, dict(os.environ), tmp_path, stand_in(script(tmp_path / "ends", "exit 3")))
    with programs.ended_together():
        programs.start_code_server()
        with pytest.raises(typer.Exit):
            programs.watch()
    assert "the code server ended with code 3" in capfd.readouterr().err


def test_a_code_server_that_was_at_work_is_started_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    counted = stand_in(script(tmp_path / "ends", f"echo x >> {tmp_path}/starts; exit 3"))
    programs = Programs(tmp_path, dict(os.environ), tmp_path, counted, restart_after=0.0, poll=0.05)

    def twice() -> None:
        programs.restart_after = 60.0

    with programs.ended_together():
        programs.start_code_server()
        threading.Timer(1.0, twice).start()
        with pytest.raises(typer.Exit):
            programs.watch()
    assert len((tmp_path / "starts").read_text().split()) >= 2
    assert "it is started again" in capfd.readouterr().err


def test_a_signal_while_a_program_is_started_leaves_none_behind(
    tmp_path: Path,
) -> None:
    """The signal comes when the process is there and nobody has noted it yet."""
    # A shell would heed the interrupt only when its command has ended.
    never_answers = stand_in(script(tmp_path / "never_answers", "exec sleep 600"))
    started = []

    def interrupted(arguments: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
        started.append(never_answers(arguments, environment, folder))
        signal.raise_signal(signal.SIGTERM)
        return started[-1]

    programs = Programs(tmp_path, dict(os.environ), tmp_path, interrupted)
    signal.signal(signal.SIGTERM, raise_ended)
    with pytest.raises(EndedError, match="SIGTERM"), programs.ended_together():
        programs.start_code_server()
    assert list(map(is_gone, started)) == [True]
