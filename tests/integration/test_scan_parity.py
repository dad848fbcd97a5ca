"""One definition: on real bars a scan of a moment gives the rows of history, and a scan fed only by then gives the same.

The markets: the bundled US bars, and fourteen NSE shares over eighteen sessions of 2016 with nine years of their days.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.build.lake_schema import create_lake_schema
from pipelines.bundled import bundled_folder
from pipelines.cli.demo import demo_order
from pipelines.dbt.run import run_dbt
from pipelines.indicators.registry import installed
from pipelines.ingest.arrivals import make_request
from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.staging import stage
from pipelines.market.calendar import calendar
from pipelines.package_data import shipped
from pipelines.scanners.engine.inputs import NO_INPUTS
from pipelines.scanners.engine.runner import ScanEngine, ScanInputs
from pipelines.scanners.registry import CompiledScanners, load_scanners
from pipelines.scanners.verification.look_ahead import different, look_ahead
from pipelines.scanners.verification.reproducibility import find_unreproduced
from pipelines.sources.registry import load_sources, source

pytestmark = pytest.mark.slow

PAIRS = MOMENTS = 30
ARRIVED = datetime(2026, 10, 1, tzinfo=UTC)
TABLES = ("instruments", "bars_daily", "bars_1m", "corporate_actions")


@dataclass(frozen=True)
class Market:
    """A market built by dbt: the record of its scans, and what a scan may be given."""

    exchange: str
    compiled: CompiledScanners
    inputs: ScanInputs
    signals: pl.DataFrame
    runs: pl.DataFrame


@pytest.fixture(scope="module", params=["bundled", "nse_2016"])
def market(request: pytest.FixtureRequest, module_pipeline, tmp_path_factory: pytest.TempPathFactory) -> Market:
    if request.param == "bundled":
        orders = [demo_order(module_pipeline.settings, bundled_folder())]
    else:
        data = request.getfixturevalue("shared") / "data"
        minutes = [p for p in sorted((data / "nse_minute_2016").glob("*.zip")) if p.stem != "NIFTY50"]
        panel = data / "nse_daily" / "nse_bhav_panel.parquet"
        orders = [
            make_request(module_pipeline.lake, "XNSE", minutes, source("csv"), received_at=ARRIVED),
            make_request(
                module_pipeline.lake, "XNSE", [panel], source("parquet"), received_at=ARRIVED, extra={"column.moment": "DATE1"}
            ),
        ]
    order = IngestRequest(orders[0].exchange, tuple(d for o in orders for d in o.deliveries))
    frames = stage(module_pipeline.lake, order, load_sources(), limits=module_pipeline.limits).tables
    last = frames["bars_1m"]["session_date"].max()
    assert isinstance(last, date)
    frames["bars_daily"] = frames["bars_daily"].filter(pl.col("session_date") <= last)
    return built(order.exchange, frames, tmp_path_factory.mktemp(request.param))


def built(exchange: str, frames: dict[str, pl.DataFrame], folder: Path) -> Market:
    """dbt over all of it, as a first nightly run would."""
    path = folder / f"{exchange}.duckdb"
    given = {"sessions": calendar(exchange).frame(), **{name: frames[name] for name in TABLES if name in frames}}
    with duckdb.connect(str(path)) as connection:
        create_lake_schema(connection, installed())
        for name, frame in given.items():
            columns = {row[0] for row in connection.execute(f"describe lake.{name}").fetchall()}
            connection.register("incoming", frame.select(c for c in frame.columns if c in columns).to_arrow())
            connection.execute(f"insert into lake.{name} by name select * from incoming")
            connection.unregister("incoming")
        for window, bars in (("window_daily", "bars_daily"), ("window_1m", "bars_1m")):
            connection.execute(
                f"insert into lake.{window} "
                f"select instrument_id, min(session_date), max(session_date), max(session_date) from lake.{bars} group by all"
            )
    run_dbt(
        ["build", "--exclude-resource-type", "unit_test"],
        build_db=path,
        target_dir=folder / "target",
        project_dir=shipped("dbt_project"),
    )
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")

        def rows(relation: str) -> pl.DataFrame:
            return connection.sql(f"from {relation}").pl()

        inputs = ScanInputs(
            **given,
            indicators_daily=rows("indicators.indicators_daily"),
            intraday_profiles=rows("indicators.intraday_profiles"),
            intraday_curves=rows("indicators.intraday_curves"),
        )
        return Market(
            exchange,
            load_scanners(folder / "target" / "manifest.json"),
            inputs,
            rows("marts.scanner_signals"),
            rows("marts.scanner_runs"),
        )


def around(inputs: ScanInputs, moment: datetime) -> ScanInputs:
    """The inputs that a scan of the moment is given: a year and a half of days, two months of curves, minutes of the session."""
    day = inputs.sessions.filter(pl.col("opens_at") <= moment)["session_date"].max()
    assert isinstance(day, date)
    end = day + timedelta(days=5)  # what is to come is given too, and must not be looked at

    def within(frame: pl.DataFrame, days: int, last: date) -> pl.DataFrame:
        return frame.filter(pl.col("session_date").is_between(day - timedelta(days=days), last))

    return ScanInputs(
        sessions=inputs.sessions,
        instruments=inputs.instruments,
        bars_daily=within(inputs.bars_daily, 400, end),
        bars_1m=within(inputs.bars_1m, 0, day),
        corporate_actions=inputs.corporate_actions,
        indicators_daily=within(inputs.indicators_daily, 400, end),
        intraday_profiles=within(inputs.intraday_profiles, 0, end),
        intraday_curves=within(inputs.intraday_curves, 62, end),
    )


def test_thirty_recorded_scans_are_repeated_row_for_row(market: Market) -> None:
    # Scans that issued signals weigh more: that nothing equals nothing shows little.
    scans = market.runs.sort("scanner_name", "as_of_ts").select("scanner_name", "as_of_ts", "signals")
    fired = scans.filter(pl.col("signals") > 0)
    chance = random.Random(2016)
    chosen = chance.sample(fired.rows(), min(PAIRS - 10, fired.height)) + chance.sample(scans.rows(), 10)

    for name, moment, signals in chosen:
        inputs = around(market.inputs, moment)
        with ScanEngine(market.compiled, NO_INPUTS) as engine:
            assert find_unreproduced(engine, inputs, market.signals, [(moment, [name])]).is_empty(), (name, moment)
        recorded = market.signals.filter((pl.col("scanner_name") == name) & (pl.col("ts") == moment))
        assert recorded.height == signals
    assert len(chosen) >= PAIRS - 10


def test_thirty_moments_look_the_same_without_what_came_after(market: Market) -> None:
    minutes = market.inputs.bars_1m.select("ts").unique().sort("ts")["ts"].to_list()
    names = list(market.compiled.scanners)

    for start in random.Random(1992).sample(minutes, MOMENTS):
        moment = start + timedelta(minutes=1)
        assert look_ahead(market.compiled, around(market.inputs, moment), moment, names).is_empty(), moment


def test_many_moments_at_once_give_what_one_after_the_other_gives(market: Market) -> None:
    scans = market.runs.filter(pl.col("session_date") == market.runs["session_date"].max())
    asked = [(moment, [name]) for name, moment in scans.sort("as_of_ts", "scanner_name").select("scanner_name", "as_of_ts").rows()]
    asked = asked[:: max(1, len(asked) // 12)]
    inputs = around(market.inputs, asked[-1][0])

    with ScanEngine(market.compiled, inputs) as engine:
        together = engine.run_at(asked).signals
        apart = pl.concat([engine.run(moment, names).signals for moment, names in asked])
    assert different(together, apart).is_empty()
