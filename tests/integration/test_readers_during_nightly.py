"""Readers of the published catalogue while it is replaced under them: always one release, never an error."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytestmark = pytest.mark.slow

_READER = """
import json, os, sys, time, duckdb
link, query, manner, out, stop = sys.argv[1:]
def connect():
    return duckdb.connect(link, read_only=True)
held = None if manner == "reopening" else connect()
if manner == "transaction":
    held.execute("BEGIN TRANSACTION")
with open(out, "a") as file:
    while not os.path.exists(stop):
        connection = held or connect()
        try:
            said = json.dumps(connection.execute(query).fetchall()[0], default=str)
        except duckdb.Error as error:
            said = json.dumps(["error", str(error)])
        print(said, file=file, flush=True)
        if held is None:
            connection.close()
        # Who opens anew may meet the moment of replacement; who holds it can only see that nothing changes.
        time.sleep(0.3 if held is None else 3)
"""
_CARELESS = """
import sys, time, duckdb
try:
    connection = duckdb.connect(sys.argv[1])
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    connection.execute("CREATE TABLE scribble AS SELECT range AS n FROM range(1000)")
except duckdb.Error as error:
    print(error, file=sys.stderr)
print("done", flush=True)
time.sleep(600)
"""


@pytest.fixture
def careless(market: Any) -> Any:
    """Opens a catalogue for writing, writes if it is let, and is killed."""

    def write(link: Path) -> None:
        process = subprocess.Popen([sys.executable, "-c", _CARELESS, str(link)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        market.kill(process)
        assert process.returncode == -signal.SIGKILL

    return write


def test_every_answer_during_two_nightly_runs_is_that_of_one_release_without_what_a_careless_writer_left(
    based_home: Any, tape: Any, market: Any, careless: Any, tmp_path: Path
) -> None:
    home = based_home("read")
    link, stop = home.settings.catalogue_link, tmp_path / "stop"
    careless(link)
    answers = {manner: tmp_path / manner for manner in ("holding", "transaction", "reopening")}
    readers = [
        subprocess.Popen([sys.executable, "-c", _READER, str(link), market.ANSWER, manner, str(out), str(stop)])
        for manner, out in answers.items()
    ]
    try:
        for out in answers.values():
            market.wait_until(lambda out=out: out.exists() and out.read_text().count("\n") > 2, f"answers of {out.name}")
        for day, session in enumerate(market.SESSIONS[:2], start=1):
            home.ingest(*tape.delivery(tmp_path / "inbound", session), received=market.arrival(day))
            release = home.nightly()["release_id"]
            market.wait_until(
                lambda release=release: release in answers["reopening"].read_text(), f"somebody who opens it anew sees {release}"
            )
    finally:
        stop.touch()
        ended = [reader.wait(timeout=60) for reader in readers]

    assert ended == [0, 0, 0]
    published = {release.release_id: _published(home, release.release_id, market) for release in home.releases()}
    assert len(published) == 1 + 2
    for manner, out in answers.items():
        said = set(out.read_text().splitlines())
        assert said <= set(published.values()), manner
        # Who holds it sees the release that it opened to the end.
        assert len(said) == (len(published) if manner == "reopening" else 1), manner

    with duckdb.connect(str(link), read_only=True) as connection:
        tables = {name for (name,) in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()}
        assert "scribble" not in tables
        assert str(market.answer(connection)[2]) == str(market.SESSIONS[1])


def _published(home: Any, release_id: str, market: Any) -> str:
    """A release's answer as the readers write it, from its own catalogue file."""
    with duckdb.connect(str(home.settings.state_dir / "catalogue" / f"{release_id}.duckdb"), read_only=True) as connection:
        return json.dumps(market.answer(connection), default=str)
