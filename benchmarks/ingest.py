"""What does the way into the lake cost: day files of a whole market, and one-minute bars of 500 instruments, file by file?

The product's own steps (stage with row rules, gate with its suites, merge, commit) in a home of their own, a delivery at a time as
it comes every evening; beside it, in turns, what cannot be done without: `pyarrow.csv.read_csv` and one bare Parquet file of what
was read, and another of the rows as they are stored.

Not here: what follows the lake (`build`), Dagster around the steps.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.tables import SEED, Table, ratio
from pipelines.ingest import row_judging
from pipelines.ingest.arrivals import make_request
from pipelines.ingest.batches import outcome
from pipelines.ingest.judging import stage_judged
from pipelines.ingest.publish import publish_staged, run_gate
from pipelines.ingest.suites import ExpectationResult, Suite, run_suite
from pipelines.market.calendar import calendar
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.sources.limits import Limits
from pipelines.sources.registry import load_sources, source
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

MIC = "XNSE"
DAYS, LISTED = 250, 2_000
SESSIONS, TRADED, MINUTES = 21, 500, 375
ARRIVED = datetime(2025, 1, 1, tzinfo=UTC)
Seconds = dict[str, list[float]]


def run(*, small: bool = False) -> Table:
    """Figures of a year of day files and a month of minutes; with `small` of five days each, and a tenth of the instruments."""
    days, listed = (5, LISTED // 10) if small else (DAYS, LISTED)
    sessions, traded = (5, TRADED // 10) if small else (SESSIONS, TRADED)
    year = _measured("nse_bhavcopy", session_days(days), lambda day, folder: _day_file(day, listed, folder))
    month = _measured("csv", session_days(sessions), lambda day, folder: minute_file(day, traded, folder))
    ruled = [rules + publish for rules, publish in zip(month["rules"], month["publish"], strict=True)]
    rows = [
        *_rows(f"a day file of {listed:,} shares", year, listed),
        *_rows(f"a session of {traded * MINUTES:,} one-minute bars", month, traded * MINUTES),
        [
            "row rules, merge and commit of the session, over a bare file of its stored rows",
            "",
            ratio(ruled, month["write"]),
            "≤ 3",
        ],
        ["– of these the row rules", f"{1e3 * statistics.median(month['rules']):.0f} ms", "", ""],
        ["its suites (Great Expectations)", f"{statistics.median(month['suites']):.2f} s", "", "≤ 0.5 s"],
    ]
    return Table(
        "Into the lake",
        ("what", "measured", "× read_csv and bare Parquet write", "to beat"),
        rows,
        f"{days} files of a whole market's day ({sum(year['whole']):,.0f} s in all), {sessions} files of minutes "
        f"({sum(month['whole']):,.0f} s in all), generated, one delivery after the other into one lake. "
        "Whole: parse, row rules, suites, merge and commit of every table that a delivery touches. "
        "Of a session's merge and commit Delta's writer takes three fifths, the hash that finds the gate's record an eighth; a day "
        "file is merged into its year.",
    )


def _rows(what: str, seconds: Seconds, bars: int) -> list[list[str]]:
    whole = [total - suites for total, suites in zip(seconds["whole"], seconds["suites"], strict=True)]
    each = {name: f"{statistics.median(values):.2f} s" for name, values in seconds.items()}
    a_bar = f"{1e6 * statistics.median(seconds['whole']) / bars:,.0f} µs a bar"
    return [
        [what, f"{each['whole']} ({a_bar})", ratio(seconds["whole"], seconds["bare"]), ""],
        ["– without the suites", f"{statistics.median(whole):.2f} s", ratio(whole, seconds["bare"]), ""],
        ["– parse and row rules", each["stage"], ratio(seconds["stage"], seconds["bare"]), ""],
        ["– merge and commit", each["publish"], ratio(seconds["publish"], seconds["bare"]), ""],
    ]  # fmt: skip


def _measured(reader: str, days: list[date], made: Callable[[date, Path], Path]) -> Seconds:
    """Seconds of each step by delivery, the peer taking its turn after each. The first delivery warms up and is not counted."""
    seconds: Seconds = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="marketlake-bench-") as name:
        folder = Path(name)
        for number, day in enumerate(days):
            path = made(day, folder)
            found = _ingested(reader, path, folder)
            found |= _bare(path, TABLES["bars_daily" if reader == "nse_bhavcopy" else "bars_1m"], day, folder)
            if number:
                for step, value in found.items():
                    seconds[step].append(value)
            path.unlink()
    return seconds


def _ingested(reader: str, path: Path, folder: Path) -> dict[str, float]:
    """One delivery on its whole way. RuntimeError when not every row came in."""
    lake, state, known = Lake(str(folder / "lake")), folder / "state", load_sources()
    priorities = {name: each.priority for name, each in known.items()}
    seconds = {"suites": 0.0, "rules": 0.0}
    begun = time.perf_counter()
    order = make_request(lake, MIC, [path], source(reader), received_at=ARRIVED)
    with _timed(row_judging, "judge", "rules", seconds):
        staged = stage_judged(lake, order, known, state, Limits(), _timed_suite(seconds))
    seconds["stage"] = time.perf_counter() - begun
    seconds["publish"] = 0.0
    tables = json.loads((staged / "staged.json").read_text(encoding="utf-8"))["tables"]
    for table in sorted(tables, key=lambda name: name.startswith("bars_")):
        run_gate(lake, MIC, table, staged, state, _timed_suite(seconds))
        since = time.perf_counter()
        publish_staged(lake, MIC, table, staged, state, priorities)
        seconds["publish"] += time.perf_counter() - since
    seconds["whole"] = time.perf_counter() - begun
    bars = outcome(staged)["tables"]["bars_daily" if reader == "nse_bhavcopy" else "bars_1m"]
    if bars["accepted"] != bars["read"]:
        raise RuntimeError(f"{path.name}: generated bars were not taken whole: {bars}")
    return seconds


def _timed_suite(seconds: dict[str, float]) -> Suite:
    """The shipped suites, adding what they take."""

    def timed(table: str, figures: pl.DataFrame) -> tuple[ExpectationResult, ...]:
        begun = time.perf_counter()
        try:
            return run_suite(table, figures)
        finally:
            seconds["suites"] += time.perf_counter() - begun

    return timed


@contextmanager
def _timed(module: ModuleType, name: str, step: str, seconds: dict[str, float]) -> Iterator[None]:
    """Adds what one function of a module takes."""
    function = getattr(module, name)

    def timed(*arguments: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            seconds[step] += time.perf_counter() - begun

    setattr(module, name, timed)
    try:
        yield
    finally:
        setattr(module, name, function)


def _bare(path: Path, schema: TableSchema, day: date, folder: Path) -> dict[str, float]:
    begun = time.perf_counter()
    pq.write_table(pyarrow.csv.read_csv(path), folder / "bare.parquet", compression="zstd")
    bare = time.perf_counter() - begun
    lake = LakeTable(Lake(str(folder / "lake")).table_uri(MIC, schema.name), schema)
    stored = lake.read(where=pl.col("session_date") == day).to_arrow().cast(schema.arrow())
    begun = time.perf_counter()
    pq.write_table(stored, folder / "stored.parquet", compression="zstd")
    return {"bare": bare, "write": time.perf_counter() - begun}


def session_days(count: int) -> list[date]:
    sessions = calendar(MIC).between(date(2022, 1, 1), date(2023, 12, 31))
    return [s.session_date for s in sessions if s.kind == "regular"][:count]


def _prices(day: date, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Seeded open, high, low, close in hundredths and volume; closes stay near the share's own level from day to day."""
    rng = np.random.default_rng([SEED, day.toordinal()])
    level = 100 * (50 + 37 * (np.arange(shape[0]) % 50))
    close = level.reshape(-1, *(1 for _ in shape[1:])) + rng.integers(-50, 51, shape)
    opened = close + rng.integers(-20, 21, shape)
    high, low = np.maximum(opened, close) + rng.integers(0, 20, shape), np.minimum(opened, close) - rng.integers(0, 20, shape)
    return opened / 100, high / 100, low / 100, close / 100, rng.integers(100, 100_000, shape)


def _day_file(day: date, listed: int, folder: Path) -> Path:
    """A day of the whole market in the exchange's layout `cm`."""
    opened, high, low, close, volume = _prices(day, (listed,))
    number = np.arange(listed)
    frame = pl.DataFrame(
        {
            "SYMBOL": [f"S{n:04d}" for n in number],
            "SERIES": "EQ",
            **dict(zip(("OPEN", "HIGH", "LOW", "CLOSE"), (opened, high, low, close), strict=True)),
            "LAST": close,
            "PREVCLOSE": close,
            "TOTTRDQTY": volume,
            "TOTTRDVAL": np.round(volume * close, 2),
            "TIMESTAMP": f"{day:%d-%b-%Y}".upper(),
            "TOTALTRADES": volume // 10 + 1,
            "ISIN": [f"INE{n:04d}A010{n % 10}" for n in number],
        }
    )
    path = folder / f"cm{day:%d%b%Y}bhav.csv".replace(f"{day:%b}", f"{day:%b}".upper())
    frame.write_csv(path)
    return path


def minute_file(day: date, traded: int, folder: Path) -> Path:
    """A session of one-minute bars as a vendor's csv, share after share."""
    values = (each.ravel() for each in _prices(day, (traded, MINUTES)))
    clock = [f"{day} {9 + (15 + n) // 60:02d}:{(15 + n) % 60:02d}" for n in range(MINUTES)]
    names = ("open", "high", "low", "close", "volume")
    frame = pl.DataFrame(
        {
            "symbol": np.repeat([f"S{n:04d}" for n in range(traded)], MINUTES),
            "date": clock * traded,
            **dict(zip(names, values, strict=True)),
        }
    )
    path = folder / f"minutes_{day}.csv"
    frame.write_csv(path)
    return path
