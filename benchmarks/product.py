"""What do the commands cost as a user runs them: a first load, a night with one new session, one with nothing new, a scan, a query?

Each command is a process of its own, in one home, over generated bars of a market like NSE's: daily for years, one-minute bars of
the last sessions, as Parquet for the source `parquet`. Memory is that of all processes together.

Not here: the kernels (`kernels`, `parquet`, `build`), what a bar costs on its way into the lake (`ingest`, `first_load`).
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.process_tree import Usage, measure
from benchmarks.tables import SEED, Table
from pipelines.indicators.frame import Floats
from pipelines.market.calendar import calendar

MIC, MINUTES = "XNSE", 375
#: The last session that is generated; it comes alone, as an evening's delivery.
NEWEST = date(2024, 12, 20)
_PROGRAM = Path(sys.executable).with_name("marketlake")
_TICK = 0.05


@dataclass(frozen=True)
class Size:
    """How many instruments, sessions of daily bars, and last sessions with minutes."""

    instruments: int
    daily: int
    minutes: int


SMALL, USUAL, FULL = Size(50, 80, 4), Size(500, 1_250, 21), Size(500, 1_250, 361)


def run(*, small: bool = False, full: bool = False) -> Table:
    """Figures over 3.9 million minutes; `full`: over 67.7 million; `small`: over 75,000, to try it."""
    size = SMALL if small else FULL if full else USUAL
    with tempfile.TemporaryDirectory(prefix="marketlake-bench-") as name:
        bars, home = Path(name, "bars"), Path(name, "home")
        for folder in (bars, home):
            folder.mkdir()
        daily, minutes = generate(size, bars)
        rows = [_row(*measured) for measured in _commands(home, daily, minutes)]
        stored = sum(path.stat().st_size for path in Path(home, "lake").rglob("*") if path.is_file())
    bars_of_minutes = size.instruments * MINUTES * size.minutes
    return Table(
        "The product, command by command",
        ("command", "wall", "CPU", "peak memory of all processes", "to beat"),
        [
            *rows,
            [
                "bytes on disk of the whole lake, a bar",
                f"{stored / (bars_of_minutes + size.instruments * size.daily):.0f}",
                "",
                "",
                "",
            ],
        ],
        f"{size.instruments} instruments, {size.daily:,} sessions of daily bars, {size.minutes} of minutes "
        f"({bars_of_minutes:,} one-minute bars), generated. These are the figures of the product; "
        "the other tables are of its parts.",
    )


def _commands(home: Path, daily: list[Path], minutes: list[Path]) -> list[tuple[str, Usage, str]]:
    """Each command with its price and the design's target, in the order of a home's first days."""

    def marketlake(*words: object) -> Usage:
        return measure([str(_PROGRAM), *map(str, words)], {"MARKETLAKE_HOME": str(home), "MARKETLAKE_EXCHANGES": MIC})

    def ingest(*files: Path) -> Usage:
        return marketlake("ingest", *files, "--source", "parquet")

    return [
        ("`ingest` of the daily history", ingest(daily[0]), ""),
        (f"`ingest` of {len(minutes) - 1} sessions of minutes", ingest(*minutes[:-1]), ""),
        ("`nightly`, the first build", marketlake("nightly"), "< 4 GB"),
        ("`ingest` of one new session, daily and minutes", ingest(daily[1], minutes[-1]), "≤ 30 s CPU, this and the next"),
        ("`nightly` of that session", marketlake("nightly"), "< 1.5 GB"),
        ("`nightly` with nothing new", marketlake("nightly"), "≤ 3 s CPU"),
        ("`scan` of one scanner", marketlake("scan", "--at", NEWEST, "--scanner", "breakout_20d", "--top", 1), "≤ 1 s wall"),
        ("`scan` of all scanners", marketlake("scan", "--at", NEWEST, "--top", 1), "≤ 3 s wall"),
        ("`sql`", marketlake("sql", "select count(*) from bars_daily"), "≤ 0.8 s CPU"),
    ]


def _row(command: str, usage: Usage, target: str) -> list[str]:
    return [command, f"{usage.wall:.1f} s", f"{usage.cpu:.1f} s", f"{usage.peak / 1e9:.2f} GB", target]


def generate(size: Size, folder: Path) -> tuple[list[Path], list[Path]]:
    """Files of daily bars (history, newest session) and of minutes (a file a session), the same for the same size."""
    days = [s.session_date for s in calendar(MIC, None).between(date(2015, 1, 1), NEWEST) if s.bars_expected == MINUTES][
        -size.daily :
    ]
    numbers = np.random.default_rng(SEED)
    symbols = [f"SYM{number:04d}" for number in range(size.instruments)]
    price = numbers.uniform(50, 3_000, size.instruments)
    history, minutes = [], []
    for day in days:
        opened = price * (1 + numbers.normal(0, 0.004, size.instruments))
        price = price * (1 + numbers.normal(0.0003, 0.018, size.instruments).clip(-0.12, 0.12))
        if day in days[-size.minutes :]:
            rows = _minutes(day, symbols, opened, price, numbers)
            minutes.append(folder / f"minutes_{day}.parquet")
            rows.write_parquet(minutes[-1])
            whole = rows.group_by("symbol", maintain_order=True).agg(
                pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(), pl.col("volume").sum()
            )
        else:
            high, low = (numbers.exponential(0.006, size.instruments) * price for _ in range(2))
            prices = _prices(opened, np.maximum(opened, price) + high, np.minimum(opened, price) - low, price)
            whole = pl.DataFrame({"symbol": symbols, **prices, "volume": numbers.integers(50_000, 5_000_000, size.instruments)})
        history.append(whole.with_columns(date=pl.lit(day)))
    daily = [folder / "daily_history.parquet", folder / "daily_newest.parquet"]
    for path, frames in zip(daily, (history[:-1], history[-1:]), strict=True):
        pl.concat(frames).write_parquet(path)
    return daily, minutes


def _minutes(day: date, symbols: list[str], opened: Floats, closed: Floats, numbers: np.random.Generator) -> pl.DataFrame:
    """A session's minutes of every symbol: a walk from the open to the close."""
    steps = numbers.normal(0, 1, (len(symbols), MINUTES))
    walk = (steps - steps.mean(1, keepdims=True)).cumsum(1) * opened[:, None] * 0.0006
    path = opened[:, None] + (closed - opened)[:, None] * np.linspace(0, 1, MINUTES) + walk
    begin = np.concatenate([opened[:, None], path[:, :-1]], 1)
    high, low = (numbers.exponential(0.0004, path.shape) * opened[:, None] for _ in range(2))
    prices = _prices(begin, np.maximum(begin, path) + high, np.minimum(begin, path) - low, path)
    times = np.datetime64(f"{day}T09:15", "us") + np.arange(MINUTES) * np.timedelta64(1, "m")
    return pl.DataFrame(
        {
            "symbol": np.repeat(symbols, MINUTES),
            "datetime": np.tile(times, len(symbols)),
            **prices,
            "volume": numbers.integers(100, 20_000, path.size),
        }
    )


def _prices(opened: Floats, high: Floats, low: Floats, closed: Floats) -> dict[str, Floats]:
    """Prices on the tick, above zero, the high and the low beyond the others."""
    values = {"open": opened, "high": high, "low": low, "close": closed}
    ticks = {name: np.maximum(np.round(price.ravel() / _TICK), 1) for name, price in values.items()}
    ticks["high"] = np.maximum.reduce(list(ticks.values()))
    ticks["low"] = np.minimum.reduce(list(ticks.values()))
    return {name: (value * _TICK).round(2) for name, value in ticks.items()}
