"""How much memory does `marketlake ingest` take for many files of one-minute bars at once, and does it grow with their number?

The command as a process of its own, in a home of its own, over generated sessions of 500 instruments: half of the files, then all.

Not here: deliveries one after the other, as they come every evening (`ingest`).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.ingest import ARRIVED, MIC, MINUTES, minute_file, session_days
from benchmarks.process_tree import Usage, measure
from benchmarks.tables import Table

SESSIONS, TRADED = 60, 500
#: What `make` writes the command to, and any installation: the program beside this interpreter.
_PROGRAM = Path(sys.executable).with_name("marketlake")


def run(*, small: bool = False) -> Table:
    """Figures of 30 and 60 files; with `small` of three and six, and a tenth of the instruments."""
    sessions, traded = (6, TRADED // 10) if small else (SESSIONS, TRADED)
    rows = []
    for files in (sessions // 2, sessions):
        bars = files * traded * MINUTES
        usage = _ingested(files, traded)
        rows.append(
            [
                f"{files} files, {bars:,} bars",
                f"{usage.wall:.0f} s",
                f"{usage.cpu:.0f} s",
                f"{usage.peak / 1e9:.2f} GB",
                "< 1 GB",
            ]
        )
    return Table(
        "A first load of one-minute bars, in one request",
        ("request", "wall", "CPU", "peak memory of all processes", "to beat"),
        rows,
        f"A csv a session of {traded} instruments, generated; `marketlake ingest` into an empty home, Dagster and all.",
    )


def _ingested(files: int, traded: int) -> Usage:
    """One request into an empty home. RuntimeError when not every row came in."""
    with tempfile.TemporaryDirectory(prefix="marketlake-bench-") as name:
        vendor, home = Path(name, "vendor"), Path(name, "home")
        vendor.mkdir()
        home.mkdir()
        for day in session_days(files):
            minute_file(day, traded, vendor)
        arrived = ["--received-at", ARRIVED.isoformat()]
        command = [str(_PROGRAM), "ingest", str(vendor), "--source", "csv", "--exchange", MIC, *arrived, "--json"]
        usage = measure(command, {"MARKETLAKE_HOME": str(home), "MARKETLAKE_EXCHANGES": MIC})
    bars = json.loads(usage.output[usage.output.index("{") :])["tables"]["bars_1m"]
    if bars["accepted"] != files * traded * MINUTES:
        raise RuntimeError(f"generated bars were not taken whole: {bars}")
    return usage
