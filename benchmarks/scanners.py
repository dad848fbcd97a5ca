"""What does a scan cost: all scanners as of one moment, relative volume, five years of history and their record, a look-up?

Everything runs on generated bars of 500 instruments, in memory as a live session holds them; the look-up on a published catalogue's
native table.

Not here: building marts (`build`), reading them from the lake.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from benchmarks.tables import SEED, Table, interleaved, random_bars, ratio
from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.signal_performance.charges import charges
from pipelines.backtest.signal_performance.market import build_market
from pipelines.backtest.signal_performance.outcomes import signal_outcomes
from pipelines.backtest.signal_performance.performance import scanner_ids, scanner_performance
from pipelines.build.compile import compile_models
from pipelines.indicators.cumulative import intraday_curves
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import installed
from pipelines.indicators.tables import indicator_tables
from pipelines.market.calendar import calendar
from pipelines.market.session import Session
from pipelines.market.tables.reference import CORPORATE_ACTIONS
from pipelines.package_data import shipped
from pipelines.scanners.engine.inputs import ScanInputs
from pipelines.scanners.engine.runner import ScanEngine
from pipelines.scanners.registry import CompiledScanners, load_scanners
from pipelines.storage.delta import empty_frame

MIC = "XNSE"
INSTRUMENTS, YEARS, MINUTES, ROUNDS = 500, 5, 375, 5
LAST = date(2024, 12, 31)
#: Regular sessions of minutes before the moment: what a profile is made of.
PROFILED = 21


def run(*, small: bool = False) -> Table:
    """Figures of 500 instruments and five years; with `small` of a tenth of both."""
    instruments, years = (INSTRUMENTS // 10, 1) if small else (INSTRUMENTS, YEARS)
    days = [s for s in calendar(MIC).sessions if s.session_date <= LAST and s.kind == "regular"][-(years + 1) * 248 :]
    with tempfile.TemporaryDirectory(prefix="marketlake-bench-") as folder:
        compiled = load_scanners(compile_models(shipped("dbt_project"), Path(folder) / "compiled"))
        market = _Market(instruments, days)
        rows = [
            *_one_moment(compiled, market.profiled(compiled)),
            *_relative_volume(market),
            *_history(compiled, market, years),
            *_look_up(market, Path(folder)),
        ]
    return Table(
        "Scanners",
        ("what", "measured", "ratio", "to beat"),
        rows,
        f"{len(compiled.scanners)} scanners, {instruments} instruments, daily bars of {len(days):,} sessions, one-minute bars of "
        f"{PROFILED} sessions and the moment's own. Over few rows a statement is mostly planned: a first look has 55, a "
        "minute that follows 17, two at a time.",
    )


class _Market:
    """Generated bars: daily with indicators, minutes of the last sessions, their curves."""

    def __init__(self, instruments: int, days: list[Session]) -> None:
        self.days = days
        self.names = [f"{MIC}:S{i:04}" for i in range(instruments)]
        self.sessions = calendar(MIC).frame().filter(pl.col("session_date") <= days[-1].session_date)
        self.instruments = pl.DataFrame(
            {
                "exchange": MIC,
                "instrument_id": self.names,
                "symbol": [name.split(":")[1] for name in self.names],
                "valid_from": days[0].session_date,
                "tick_size": 0.05,
                "lot_size": 1,
                "is_active": True,
            }
        )
        bars = random_bars(instruments, len(days))
        keys = pl.DataFrame(
            {
                "exchange": MIC,
                "instrument_id": np.repeat(self.names, len(days)),
                "symbol": np.repeat([name.split(":")[1] for name in self.names], len(days)),
                "session_date": [d.session_date for d in days] * instruments,
                "known_at": [d.closes_at + timedelta(hours=3) for d in days] * instruments,
            }
        ).with_columns(session_year=pl.col("session_date").dt.year().cast(pl.Int64))
        prices = {name: getattr(bars, name) for name in ("open", "high", "low", "close")}
        self.daily = keys.with_columns(volume=pl.Series(bars.volume).cast(pl.Int64), **{k: pl.Series(v) for k, v in prices.items()})
        made = compute(bars, intraday=False)
        columns = {name: pl.Series(values, nan_to_null=True) for name, values in made.columns.items()}
        self.indicators = keys.with_columns(bars_seen=pl.Series(made.bars_seen).cast(pl.Int64), **columns).select(
            indicator_tables(installed())["indicators_daily"].names
        )
        rng = np.random.default_rng(SEED)
        self.minutes = [self._minutes(day, rng) for day in days[-PROFILED - 1 :]]
        self.curves = pl.concat([intraday_curves(frame, self.sessions) for frame in self.minutes[:-1]])
        self.profiles = pl.DataFrame()

    def _minutes(self, day: Session, rng: np.random.Generator) -> pl.DataFrame:
        size = len(self.names) * MINUTES
        close = 100 + np.round(rng.normal(0, 1, size) * 20) / 20
        starts = [day.opens_at + timedelta(minutes=i) for i in range(MINUTES)]
        return pl.DataFrame(
            {
                "exchange": MIC,
                "instrument_id": np.repeat(self.names, MINUTES),
                "symbol": np.repeat([name.split(":")[1] for name in self.names], MINUTES),
                "session_date": day.session_date,
                "ts": starts * len(self.names),
                "open": close,
                "high": close + 0.05,
                "low": close - 0.05,
                "close": close,
                "volume": rng.integers(0, 5_000, size),
                "known_at": [ts + timedelta(minutes=1) for ts in starts] * len(self.names),
            }
        )

    def moment(self) -> datetime:
        """09:50 of the last session."""
        return self.days[-1].opens_at + timedelta(minutes=35)

    def profiled(self, compiled: CompiledScanners) -> _Market:
        """With the profiles that the night before would have made."""
        with ScanEngine(compiled, self.inputs(marts=True)) as engine:
            engine.run(self.moment())
            self.profiles = engine.query("from intermediate.int_intraday_profiles_known")
        return self

    def inputs(self, *, marts: bool, sessions_back: int = 290) -> ScanInputs:
        """What a scan of the moment is given: profiles' curves as marts, or minutes from which they are made."""
        first = self.days[-sessions_back].session_date if sessions_back < len(self.days) else self.days[0].session_date
        recent = pl.col("session_date") >= first
        return ScanInputs(
            sessions=self.sessions.filter(recent),
            instruments=self.instruments,
            bars_daily=self.daily.filter(recent),
            bars_1m=self.minutes[-1] if marts else pl.concat(self.minutes),
            indicators_daily=self.indicators.filter(recent),
            intraday_profiles=self.profiles if marts else pl.DataFrame(),
            intraday_curves=self.curves if marts and self.profiles.is_empty() else pl.DataFrame(),
        )


def _one_moment(compiled: CompiledScanners, market: _Market) -> list[list[str]]:
    """A session's first look at 09:50, then minute after minute, each with the bars that have just closed."""
    moment, minutes = market.moment(), market.minutes[-1]
    given = replace(market.inputs(marts=True), bars_1m=minutes.filter(pl.col("ts") < moment))
    first, signals = [], 0
    for _ in range(ROUNDS):
        with ScanEngine(compiled, given) as engine:
            begun = time.perf_counter()
            signals = engine.run(moment).signals.height
            first.append(time.perf_counter() - begun)
    closing = [minutes.filter(pl.col("ts") == moment + timedelta(minutes=n)) for n in range(ROUNDS + 1)]
    with ScanEngine(compiled, given) as engine:
        engine.run(moment)

        def next_minute() -> None:
            closed = closing.pop(0)
            engine.append("bars_1m", closed)
            engine.run(closed["ts"][0] + timedelta(minutes=1))

        def scan_inputs() -> None:
            for table in ("lake.bars_daily", "lake.indicators_daily", "intermediate.int_intraday_profiles_known", "lake.bars_1m"):
                engine.query(f"select min(columns(*)) from {table}")

        seconds = interleaved({"next": next_minute, "inputs": scan_inputs}, ROUNDS)
    raw = _timed(lambda: _from_raw(compiled, market, moment))
    inputs = seconds["inputs"]
    return [
        [f"a session's first look, all scanners ({signals} signals)", _milliseconds(first), "", ""],
        ["– over one scan of their inputs", "", ratio(first, inputs), ""],
        ["each minute that follows, all scanners", _milliseconds(seconds["next"]), "", ""],
        ["– over one scan of their inputs", "", ratio(seconds["next"], inputs), "≤ 5"],
        ["the first look from raw bars: indicators, curves and profiles made before", f"{raw:,.1f} s", "", ""],
    ]


def _from_raw(compiled: CompiledScanners, market: _Market, moment: datetime) -> None:
    bars = random_bars(len(market.names), len(market.days))
    compute(bars, intraday=False)
    with ScanEngine(compiled, market.inputs(marts=False)) as engine:
        engine.run(moment)


def _relative_volume(market: _Market) -> list[list[str]]:
    """The yardstick of relative volume at one moment: a look-up in the profiles, or a sum over twenty sessions of minutes."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        opens = {day.session_date: day.opens_at for day in market.days[-PROFILED - 1 :]}
        tables = {
            "intraday_profiles": market.profiles,
            "bars_1m": pl.concat(market.minutes),
            "hours": pl.DataFrame({"session_date": list(opens), "opens_at": list(opens.values())}),
        }
        for name, frame in tables.items():
            connection.register("incoming", frame.to_arrow())
            connection.execute(f"create table {name} as from incoming")
        today = market.days[-1].session_date
        seconds = interleaved(
            {
                "marts": lambda: connection.execute(
                    "select instrument_id, mean_volume[35] from intraday_profiles where session_date = ?", [today]
                ).fetchall(),
                "raw": lambda: connection.execute(_RAW_VOLUME, [today]).fetchall(),
            },
            ROUNDS,
        )
    return [
        ["usual volume by 09:50 from marts", _milliseconds(seconds["marts"]), "", ""],
        ["– the same from raw bars", _milliseconds(seconds["raw"]), ratio(seconds["raw"], seconds["marts"]), "≥ 30"],
    ]


_RAW_VOLUME = """
with by_then as (
    select instrument_id, session_date, sum(volume) as volume
    from bars_1m inner join hours using (session_date)
    where ts < opens_at + interval 35 minute and session_date < ?
    group by instrument_id, session_date
)
select instrument_id, avg(volume) from by_then group by instrument_id
"""


def _history(compiled: CompiledScanners, market: _Market, years: int) -> list[list[str]]:
    """Years of closes at once, and what became of every signal: five horizons, base rates, intervals."""
    closes = [day.closes_at for day in market.days[-years * 248 :]]
    daily = [s.name for s in compiled.scanners.values() if "close" in s.moments]
    with ScanEngine(compiled, market.inputs(marts=True, sessions_back=len(market.days))) as engine:
        found: list[pl.DataFrame] = []
        scanned = _timed(lambda: found.append(engine.run_at([(moment, daily) for moment in closes]).signals))
    judged = len(daily) * len(closes) * len(market.names)
    followed = _timed(lambda: _track_record(compiled, market, found[0]))
    return [
        [
            f"{len(daily)} scanners over {len(closes):,} closes ({found[0].height:,} signals)",
            f"{scanned:,.1f} s ({1e6 * scanned / judged:.2f} µs a judgement)",
            "",
            "minutes",
        ],
        ["– what became of these signals: outcomes, base rates, intervals", f"{followed:,.1f} s", "", "minutes"],
    ]


def _track_record(compiled: CompiledScanners, market: _Market, signals: pl.DataFrame) -> None:
    followed = build_market(market.daily, empty_frame(CORPORATE_ACTIONS), calendar(MIC).frame())
    costs = charges(MIC, followed.dates, CostSettings(10.0), np.zeros(len(followed.instruments), np.int64))
    outcomes = signal_outcomes(followed, signals, lambda _: market.minutes[-1].head(0), costs)
    scanner_performance(outcomes, scanner_ids(compiled.scanners.values()), {MIC: calendar(MIC)})


def _look_up(market: _Market, folder: Path) -> list[list[str]]:
    with duckdb.connect(str(folder / "catalogue.duckdb")) as connection:
        connection.register("incoming", market.indicators.to_arrow())
        # As the published catalogue trims it.
        connection.execute(
            "create table indicators_daily_latest as from incoming qualify row_number() over "
            "(partition by exchange, instrument_id order by session_date desc) <= 1 order by instrument_id, session_date"
        )
    with duckdb.connect(str(folder / "catalogue.duckdb"), read_only=True) as connection:
        name = market.names[len(market.names) // 2]

        def hundred(query: str, parameters: list[str]) -> Callable[[], None]:
            def ask() -> None:
                for _ in range(100):
                    connection.execute(query, parameters).fetchall()

            return ask

        some = ", ".join(("sma_20", "rsi_14", "atr_14", "macd"))
        seconds = interleaved(
            {
                "some": hundred(f"select {some} from indicators_daily_latest where instrument_id = ?", [name]),
                "all": hundred("select * from indicators_daily_latest where instrument_id = ?", [name]),
                "nothing": hundred("select 1", []),
            },
            ROUNDS,
        )
    columns = len(market.indicators.columns)
    return [
        [what, f"{statistics.median(seconds[kind]) * 10:.2f} ms", ratio(seconds[kind], seconds["nothing"]), "≤ 4"]
        for what, kind in (
            ("latest indicators of one instrument, four of them, over SELECT 1", "some"),
            (f"– all {columns} columns, over SELECT 1", "all"),
        )
    ]


def _milliseconds(seconds: list[float]) -> str:
    median = statistics.median(seconds) * 1e3
    return f"{median:,.0f} ms" if median >= 10 else f"{median:.1f} ms"


def _timed(task: Callable[[], object]) -> float:
    begun = time.perf_counter()
    task()
    return time.perf_counter() - begun
