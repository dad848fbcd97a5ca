"""What the scanners within the day must find, worked out from raw minutes without any SQL.

Lives here: `World` (minutes as the scanners get them and as a test reads them), what is expected of them, and what a scan found in
the same shape.
Does not live here: the minutes and the scans (`tests/unit/scanners/test_intraday.py`).
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl
import pytest

from pipelines.market.calendar import calendar
from pipelines.market.session import Session
from pipelines.scanners.engine.runner import ScanEngine, ScanInputs
from pipelines.scanners.registry import CompiledScanners

CUT_OFF = 35
#: (open, high, low, close) in whole ten-thousandths and volume, by minute of the session from 0 on.
Bars = dict[int, tuple[int, int, int, int, int]]
Found = dict[tuple[str, str, int, str], tuple[float, float | None, float | None, float]]


@dataclass(frozen=True)
class World:
    """Minutes of some instruments, as the scanners get them and as the test reads them."""

    inputs: ScanInputs
    sessions: list[Session]
    bars: dict[str, list[Bars]]
    #: Split ratio by instrument and the place of its ex-date among the sessions.
    splits: dict[str, tuple[int, int]]
    barred: set[str]

    def in_basis_of(self, name: str, bar_at: int, moment_at: int) -> int:
        ratio, ex_at = self.splits.get(name, (1, 0))
        return ratio if bar_at < ex_at <= moment_at else 1

    def regular(self, at: int) -> bool:
        return calendar("XNSE").frame().filter(pl.col("session_date") == self.sessions[at].session_date)["kind"][0] == "regular"


def world(minutes: pl.DataFrame, sessions: list[Session], splits: dict[str, tuple[int, int]], barred: set[str]) -> World:
    """minutes: symbol, session_date, ts, open, high, low, close, volume. The daily bar is their sum, its close their last."""
    minutes = minutes.with_columns(
        exchange=pl.lit("XNSE"), instrument_id="XNSE:" + pl.col("symbol"), known_at=pl.col("ts") + timedelta(minutes=1)
    )
    daily = (
        minutes.sort("ts")
        .group_by("exchange", "instrument_id", "symbol", "session_date")
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
            pl.col("known_at").max(),
        )
        .with_columns(series=pl.when(pl.col("symbol").is_in(list(barred))).then(pl.lit("BE")).otherwise(pl.lit("EQ")))
    )
    listed = daily.select("exchange", "instrument_id", "symbol").unique()
    actions = pl.DataFrame(
        [
            (f"XNSE:{name}", sessions[at].session_date, "split", "XNSE", float(ratio), sessions[0].opens_at)
            for name, (ratio, at) in splits.items()
        ],
        schema=["instrument_id", "ex_date", "action", "exchange", "ratio", "known_at"],
        orient="row",
    )
    instruments = listed.with_columns(valid_from=sessions[0].session_date, is_active=pl.lit(True))
    places = {session.session_date: at for at, session in enumerate(sessions)}
    bars: dict[str, list[Bars]] = defaultdict(lambda: [{} for _ in sessions])
    for row in minutes.iter_rows(named=True):
        at = places[row["session_date"]]
        prices = [round(row[name] * 10_000) for name in ("open", "high", "low", "close")]
        bars[row["symbol"]][at][(row["ts"] - sessions[at].opens_at) // timedelta(minutes=1)] = (*prices, row["volume"])
    inputs = ScanInputs(calendar("XNSE").frame(), instruments, daily, minutes, actions if splits else pl.DataFrame())
    return World(inputs, sessions, dict(bars), splits, barred)


def so_far(bars: Bars, minute: int) -> tuple[int, int, int, int, int] | None:
    seen = [bars[m] for m in sorted(bars) if m < minute]
    if not seen:
        return None
    return seen[0][0], max(b[1] for b in seen), min(b[2] for b in seen), seen[-1][3], sum(b[4] for b in seen)


def usual(w: World, name: str, at: int, minute: int) -> tuple[list[int], list[float]]:
    """Volumes and ranges by this minute of the 20 regular sessions before, in the basis of session `at`."""
    before = [i for i in range(at) if w.regular(i)][-20:]
    volumes, ranges = [], []
    for i in (i for i in before if w.bars[name][i]):
        ratio = w.in_basis_of(name, i, at)
        seen = so_far(w.bars[name][i], minute)
        volumes.append(seen[4] * ratio if seen else 0)
        if seen:
            ranges.append((seen[1] - seen[2]) / ratio)
    return volumes, ranges


def clipped(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def expected_at(
    w: World, at: int, minute: int, average: str = "mean", factor: float = 2.0, confirmation: str = "close_and_open"
) -> Found:
    """What relative_volume and crp should say; without indicators, so that the former has neither stop nor target."""
    found: Found = {}
    for name, days in w.bars.items():
        today = so_far(days[at], minute)
        if name in w.barred or today is None or not w.regular(at) or not days[at - 1]:
            continue
        opened, high, low, last, volume = today
        volumes, ranges = usual(w, name, at, minute)
        if len(volumes) < 10 or not sum(volumes):
            continue
        level = statistics.median(volumes) if average == "median" else sum(volumes) / len(volumes)
        before = days[at - 1][max(days[at - 1])][3] / w.in_basis_of(name, at - 1, at)
        moves = {"close": [last - before], "open": [last - opened]}.get(confirmation, [last - before, last - opened])
        if volume > factor * level and (min(moves) > 0 or max(moves) < 0):
            side = "BUY" if moves[0] > 0 else "SELL"
            found["relative_volume", name, at, side] = (
                last / 1e4,
                None,
                None,
                round(0.5 * clipped(volume / level / factor - 1), 6),
            )
        if average == "median" or high == low:
            continue
        position, mean_range = (last - low) / (high - low), sum(ranges) / len(ranges)
        up, down = 5 * (last - low) >= 4 * (high - low), 5 * (high - last) >= 4 * (high - low)
        if (high - low) > mean_range or volume <= level or not ((up and last > before) or (down and last < before)):
            continue
        score = (
            0.4 * (position if up else 1 - position)
            + 0.2 * clipped(1 - (high - low) / mean_range)
            + 0.2 * clipped(volume / level - 1)
            + 0.2 * clipped(abs(last / before - 1) / 0.02)
        )
        sign = 1 if up else -1
        stop = (low if up else high) / 1e4
        target = round((last + sign * 1.5 * (high - low)) / 1e4, 4)
        found["crp", name, at, "BUY" if up else "SELL"] = (last / 1e4, target, stop, round(score, 6))
    return found


def expected_ranges(w: World, at: int, length: int) -> Found:
    """What opening_range_* should say over a whole session, with the minute that ends in the key's place of the scanner."""
    found: Found = {}
    for name, days in w.bars.items():
        opening = so_far(days[at], length)
        if name in w.barred or opening is None or not w.regular(at) or opening[1] == opening[2]:
            continue
        high, low = opening[1] / 1e4, opening[2] / 1e4
        for side, sign in (("BUY", 1), ("SELL", -1)):
            beyond = [m for m in sorted(days[at]) if m >= length and sign * (days[at][m][3] - opening[1 if sign > 0 else 2]) > 0]
            if not beyond or beyond[0] + 1 > 375 - 30:
                continue
            minute = beyond[0] + 1
            last = days[at][beyond[0]][3] / 1e4
            volumes, _ = usual(w, name, at, minute)
            level = sum(volumes) / len(volumes) if volumes else 0
            volume = sum(bar[4] for m, bar in days[at].items() if m < minute)
            score = (
                0.4 * clipped(sign * (last - (high if sign > 0 else low)) / (high - low))
                + 0.3 * (1 - (minute - length - 1) / (345 - length))
                + 0.3 * (clipped(volume / level - 1) if level else 0)
            )
            stop, target = (low if sign > 0 else high), round(last + sign * 1.5 * (high - low), 4)
            found[str(minute), name, at, side] = (last, target, stop, round(score, 6))
    return found


def scanned(
    compiled: CompiledScanners,
    w: World,
    moments: Sequence[tuple[int, int]],
    names: list[str],
    parameters: dict[str, dict[str, object]] | None = None,
) -> pl.DataFrame:
    """Signals at these (session, minute)s."""
    asked = [(w.sessions[at].opens_at + timedelta(minutes=minute), names) for at, minute in moments]
    with ScanEngine(compiled, w.inputs) as engine:
        return engine.run_at(asked, parameters).signals


def as_found(w: World, signals: pl.DataFrame, *, by_minute: bool = False) -> Found:
    places = {session.session_date: at for at, session in enumerate(w.sessions)}
    found: Found = {}
    for row in signals.iter_rows(named=True):
        at = places[row["session_date"]]
        first = str((row["ts"] - w.sessions[at].opens_at) // timedelta(minutes=1)) if by_minute else row["scanner_name"]
        found[first, row["symbol"], at, row["signal_type"]] = (
            row["entry_price"],
            row["target_price"],
            row["stop_loss"],
            row["confidence_score"],
        )
    return found


def assert_same(found: Found, expected: Found) -> None:
    assert sorted(found) == sorted(expected)
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, abs=2e-6), key
