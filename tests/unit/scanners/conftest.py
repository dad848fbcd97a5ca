"""One small lake, built by dbt once: six instruments, 60 daily sessions, a split, and minutes of the last two sessions.

RISE breaks out upwards on volume in the last session, FALL downwards, TIE equals the highest high, QUIET breaks out without
volume, SPLIT halves its price in the last session and does nothing else, YOUNG was listed ten sessions ago.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from pipelines.build.lake_schema import create_lake_schema
from pipelines.bundled import bundled_folder
from pipelines.dbt.run import run_dbt
from pipelines.indicators.arrays import BarArrays, Rescales
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import installed
from pipelines.market.calendar import calendar
from pipelines.market.session import Session
from pipelines.package_data import shipped
from pipelines.scanners.engine.runner import ScanInputs
from pipelines.scanners.registry import CompiledScanners, load_scanners

SESSIONS = 60
LAST = date(2024, 6, 28)
MINUTES = 30
#: What the build leaves in its folder.
DATABASE, STATUSES = "XNSE.duckdb", "statuses.json"


@dataclass(frozen=True)
class Build:
    """What dbt made: the database, the manifest, the results by node, and the inputs as frames."""

    path: Path
    manifest: Path
    statuses: dict[str, str]
    inputs: ScanInputs
    sessions: list[Session]

    def rows(self, query: str) -> pl.DataFrame:
        """Rows of a query on the build database."""
        with duckdb.connect(str(self.path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.sql(query).pl()


@pytest.fixture(scope="session")
def build(made_once: Callable[..., Path]) -> Build:
    """What dbt makes of the small lake by the shipped project, once for all of pytest's workers."""
    return read_small_lake(made_once("small_lake", lambda folder: build_small_lake(folder, shipped("dbt_project"))))


def build_small_lake(folder: Path, project_dir: Path) -> None:
    """Let dbt build the small lake by a project."""
    _, frames = _small_lake()
    with duckdb.connect(str(folder / DATABASE)) as connection:
        create_lake_schema(connection, installed())
        for name, frame in frames.items():
            connection.register("incoming", frame.to_arrow())
            connection.execute(f"insert into lake.{name} by name select * from incoming")
            connection.unregister("incoming")
        for window, bars in (("window_daily", "bars_daily"), ("window_1m", "bars_1m")):
            connection.execute(
                f"insert into lake.{window} "
                f"select instrument_id, min(session_date), max(session_date), max(session_date) from lake.{bars} group by all"
            )
    results = run_dbt(["build"], build_db=folder / DATABASE, target_dir=folder / "target", project_dir=project_dir)
    statuses = {result["unique_id"]: result["status"] for result in results}
    (folder / STATUSES).write_text(json.dumps(statuses), encoding="utf-8")


def read_small_lake(folder: Path) -> Build:
    """What was built in a folder, with what it was built of."""
    sessions, frames = _small_lake()
    statuses = json.loads((folder / STATUSES).read_text(encoding="utf-8"))
    made = Build(folder / DATABASE, folder / "target" / "manifest.json", statuses, _NOTHING, sessions)
    return replace(made, inputs=ScanInputs(**frames, indicators_daily=made.rows("from indicators.indicators_daily")))


def _small_lake() -> tuple[list[Session], dict[str, pl.DataFrame]]:
    sessions = [s for s in calendar("XNSE").sessions if s.session_date <= LAST][-SESSIONS:]
    return sessions, {
        "sessions": calendar("XNSE").frame(),
        "instruments": _instruments(sessions),
        "bars_daily": _daily(sessions),
        "bars_1m": _minutes(sessions[-2:]),
        "corporate_actions": _actions(sessions),
    }


@pytest.fixture(scope="session")
def compiled(build: Build) -> CompiledScanners:
    return load_scanners(build.manifest)


@dataclass(frozen=True)
class Bundled:
    """Four years of the bundled daily bars: `bars` and `indicators` (each bar and its indicators, computed cold), sorted by
    instrument and session, with `units` the close in ten-thousandths, `closes_at` and `kind` of the session; the one split of
    these years; and all of it as inputs of a scan."""

    bars: pl.DataFrame
    indicators: pl.DataFrame
    split: tuple[str, date, float]
    inputs: ScanInputs


@pytest.fixture(scope="session")
def bundled() -> Bundled:
    bars = _bundled_bars()
    indicators = _indicators_of(bars)
    listed = bars.group_by("exchange", "instrument_id", "symbol").agg(
        valid_from=pl.col("session_date").min(), is_active=pl.lit(True)
    )
    action = pl.DataFrame([SPLIT], schema=["instrument_id", "ex_date", "ratio"], orient="row").with_columns(
        exchange=pl.lit("XNYS"), action=pl.lit("split"), known_at=pl.lit(datetime(2014, 6, 1, tzinfo=UTC))
    )
    inputs = ScanInputs(calendar("XNYS").frame(), listed, bars, corporate_actions=action, indicators_daily=indicators)
    return Bundled(bars, indicators, SPLIT, inputs)


_NOTHING = ScanInputs(pl.DataFrame(), pl.DataFrame(), pl.DataFrame())
_NAMES = ("FALL", "QUIET", "RISE", "SPLIT", "TIE", "YOUNG")


def _daily(sessions: list[Session]) -> pl.DataFrame:
    """Prices swing between 98 and 102 in steps that never repeat a high, until the last session."""
    rows = []
    for name in _NAMES:
        for i, session in enumerate(sessions):
            last = i == len(sessions) - 1
            if name == "YOUNG" and i < len(sessions) - 10:
                continue
            close = 100 + ((i * 7) % 5) * 0.25
            high, low, volume = close + 1, close - 1, 1000 + i
            if last:
                close, volume = {"RISE": (104.0, 9000), "FALL": (96.0, 9000), "QUIET": (104.0, 1100), "TIE": (102.0, 9000)}.get(
                    name, (100.0, 2500)
                )
                high, low = max(close, 101.0), min(close, 99.0)
            if last and name == "SPLIT":
                close, high, low, volume = 50.0, 50.5, 49.5, 5000
            rows.append((f"XNSE:{name}", session.session_date, name, close, high, low, close, volume, session.closes_at))
    columns = ["instrument_id", "session_date", "symbol", "open", "high", "low", "close", "volume", "known_at"]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    return frame.with_columns(
        exchange=pl.lit("XNSE"), known_at=pl.col("known_at") + timedelta(hours=3), session_year=pl.col("session_date").dt.year()
    )


def _minutes(sessions: list[Session]) -> pl.DataFrame:
    """RISE crosses its 20-day high in the eleventh minute of the last session; volume has passed the bar by then."""
    rows = []
    for name in _NAMES:
        for session in sessions:
            for minute in range(MINUTES):
                ts = session.opens_at + timedelta(minutes=minute)
                price = 100.0
                if session is sessions[-1]:
                    price = {"SPLIT": 50.0, "RISE": 104.0 if minute >= 10 else 100.0}.get(name, price)
                rows.append((f"XNSE:{name}", session.session_date, ts, name, price, price, price, price, 300))
    columns = ["instrument_id", "session_date", "ts", "symbol", "open", "high", "low", "close", "volume"]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    return frame.with_columns(exchange=pl.lit("XNSE"), known_at=pl.col("ts") + timedelta(minutes=1))


def _instruments(sessions: list[Session]) -> pl.DataFrame:
    listed = {name: sessions[-10 if name == "YOUNG" else 0].session_date for name in _NAMES}
    rows = [(f"XNSE:{name}", day, "XNSE", name, 0.05, 1, True) for name, day in listed.items()]
    columns = ["instrument_id", "valid_from", "exchange", "symbol", "tick_size", "lot_size", "is_active"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _actions(sessions: list[Session]) -> pl.DataFrame:
    last = sessions[-1]
    row = ("XNSE:SPLIT", last.session_date, "split", "XNSE", 2.0, last.opens_at - timedelta(days=20))
    return pl.DataFrame([row], schema=["instrument_id", "ex_date", "action", "exchange", "ratio", "known_at"], orient="row")


_SYMBOLS = ("aapl", "eem", "ibm", "qqq", "spy")
_FIRST, _LAST = date(2012, 1, 1), date(2015, 12, 31)
#: Seven new shares for one: the only split of these five in these years.
SPLIT = ("XNYS:AAPL", date(2014, 6, 9), 7.0)


def _bundled_bars() -> pl.DataFrame:
    frames = []
    for symbol in _SYMBOLS:
        path = bundled_folder() / "lean" / "equity" / "usa" / "daily" / f"{symbol}.zip"
        with zipfile.ZipFile(path) as archive:
            text = archive.read(f"{symbol}.csv")
        frame = pl.read_csv(io.BytesIO(text), has_header=False, new_columns=["day", "open", "high", "low", "units", "volume"])
        frames.append(frame.with_columns(symbol=pl.lit(symbol.upper())))
    dollars = [(pl.col(name) / 10_000).alias(name) for name in ("open", "high", "low")]
    return (
        pl.concat(frames, how="vertical_relaxed")
        .with_columns(
            *dollars,
            exchange=pl.lit("XNYS"),
            instrument_id="XNYS:" + pl.col("symbol"),
            session_date=pl.col("day").str.slice(0, 8).str.to_date("%Y%m%d"),
            close=pl.col("units") / 10_000,
            volume=pl.col("volume").cast(pl.Int64),
        )
        .filter(pl.col("session_date").is_between(_FIRST, _LAST))
        .join(calendar("XNYS").frame().select("session_date", "closes_at", "kind"), on="session_date")
        .with_columns(known_at=pl.col("closes_at"))
        .sort("instrument_id", "session_date")
    )


def _indicators_of(bars: pl.DataFrame) -> pl.DataFrame:
    ends = bars.group_by("instrument_id", maintain_order=True).len()["len"].cum_sum().to_list()
    split = bars.with_row_index().filter(pl.col("instrument_id") == SPLIT[0], pl.col("session_date") == SPLIT[1])["index"].item()
    prices = {name: bars[name].to_numpy() for name in ("open", "high", "low", "close")}
    volume, nothing = bars["volume"].cast(pl.Float64).to_numpy(), np.full(bars.height, np.nan)
    session = bars["session_date"].to_physical().to_numpy()
    arrays = BarArrays(np.array([0, *ends]), **prices, volume=volume, turnover=nothing, session=session)
    columns = compute(arrays, rescales=Rescales.splits([split], [1 / SPLIT[2]])).columns
    return bars.with_columns(pl.Series(name, values, nan_to_null=True) for name, values in columns.items()).with_columns(
        bars_seen=pl.lit(1, dtype=pl.Int64)
    )
