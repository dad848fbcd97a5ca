"""Adjusted prices of Lean's raw bars and factor files against series that others adjusted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.market.tables import TABLES
from pipelines.sources.protocol import ParseOptions, RawFile
from pipelines.sources.registry import source
from pipelines.storage.adjusted_views import create_adjusted_views
from pipelines.storage.relations import quoted, select_files
from tests.support.indicator_tables import INDICATORS_DAILY


def parsed(folder: Path, name: str, how: str) -> pl.DataFrame:
    (table,) = source(how).parse(RawFile(folder / name, name, ""), ParseOptions("XNYS", "America/New_York"))
    return table.frame


@pytest.fixture
def catalogue() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for schema in (TABLES["bars_daily"], TABLES["corporate_actions"], INDICATORS_DAILY):
            connection.execute(f"CREATE TABLE {quoted(schema.name)} AS {select_files(schema, [])}")
        create_adjusted_views(connection, TABLES["bars_daily"], INDICATORS_DAILY)
        yield connection


def adjusted(catalogue: duckdb.DuckDBPyConnection, bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    for table, rows in (("bars_daily", bars), ("corporate_actions", actions)):
        known = [c for c in rows.columns if c in TABLES[table].names]
        named = rows.select(known).with_columns(exchange=pl.lit("XNYS"), instrument_id=pl.lit("XNYS:A"))
        catalogue.register("incoming", named.to_arrow())
        catalogue.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
        catalogue.unregister("incoming")
    return catalogue.sql("FROM bars_daily_adjusted ORDER BY session_date").pl()


@pytest.fixture
def apple_actions(shared: Path) -> pl.DataFrame:
    return parsed(shared / "data", "lean/equity/usa/factor_files/aapl.csv", "lean")


def test_apple_is_continuous_through_its_seven_for_one_split_and_equals_a_series_adjusted_after_it(
    shared: Path, apple_actions: pl.DataFrame, catalogue: duckdb.DuckDBPyConnection
) -> None:
    """zipline's AAPL of 2012 to 2014: split-adjusted by the vendor after 2014-06-09, six decimals."""
    others = parsed(shared / "data", "zipline/csvdir_daily/AAPL.csv.gz", "csv")
    raw = parsed(shared / "data", "lean/equity/usa/daily/aapl.zip", "lean")
    first, last = others["session_date"].min(), others["session_date"].max()
    ours = adjusted(catalogue, raw.filter(pl.col("session_date").is_between(first, last)), apple_actions)
    both = ours.join(others, on="session_date", suffix="_other")
    assert both.height > 700

    split = date(2014, 6, 9)
    assert set(both.filter(pl.col("session_date") < split)["split_factor"]) == {1 / 7}
    assert set(both.filter(pl.col("session_date") >= split)["split_factor"]) == {1.0}
    # Equal to the six decimals on most days; on the others Lean's close is the tape's last trade and theirs the official one.
    before = both.filter(pl.col("session_date") < split)
    for column in ("close", "high", "low"):
        off = (before[column] / before[f"{column}_other"] - 1).abs()
        assert off.median() < 1e-7
        assert off.quantile(0.9) < 1e-3
    assert (before["close"] / before["close_other"] - 1).abs().max() < 2e-3

    step = both.filter(pl.col("session_date").is_between(date(2014, 6, 6), split))["close"].to_list()
    assert step[1] / step[0] == pytest.approx(93.70 / (645.57 / 7), rel=1e-4)


def test_the_dividends_of_a_vendor_s_own_column_are_those_of_the_factor_file(shared: Path, apple_actions: pl.DataFrame) -> None:
    """Cash per share as paid then; zipline's file gives it in shares of after the split."""
    file = shared / "data/zipline/csvdir_daily/AAPL.csv.gz"
    others = pl.read_csv(file, try_parse_dates=True).filter(pl.col("dividend") > 0)
    paid = {
        day: amount for day, action, amount in apple_actions.select("ex_date", "action", "amount").rows() if action == "dividend"
    }
    assert others.height >= 9
    for day, amount in others.select("date", "dividend").rows():
        assert paid[day] == pytest.approx(amount * (7 if day < date(2014, 6, 9) else 1), abs=0.004), day


@pytest.mark.parametrize("symbol", ["AAPL", "IBM"])
def test_total_return_closes_equal_bokeh_s_adjusted_close(shared: Path, catalogue: duckdb.DuckDBPyConnection, symbol: str) -> None:
    """Yahoo's Adj Close, two decimals, over 13 years with two splits (AAPL) or 52 dividends (IBM)."""
    name = f"bokeh_sampledata/{symbol}.csv"
    bars = parsed(shared / "data", name, "csv")
    actions = parsed(shared / "data", f"lean/equity/usa/factor_files/{symbol.lower()}.csv", "lean")
    ours = adjusted(catalogue, bars, actions)
    others = pl.read_csv(shared / "data" / name, try_parse_dates=True)
    both = ours.join(others.select(session_date="Date", other="Adj Close"), on="session_date")
    assert both.height == 3270
    assert both["session_date"].min() == date(2000, 3, 1)
    # Their file was made some dividends after its last row, so both are put in the basis of that row.
    ratio = both["close_total_return"] / both["other"]
    off = (ratio / ratio[-1] - 1).abs()
    # Half a cent of the printed numbers, and what rounded dividends add up to over the years.
    assert (off > 0.0051 / both["other"] + 0.0051 / both["other"][-1] + 2e-4).sum() == 0
