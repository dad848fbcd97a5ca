"""Locked sessions and gaps that only an action explains, in NSE's own daily files: which they are is counted by hand."""

from __future__ import annotations

import io
import zipfile
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.backtest.actions import effects_of
from pipelines.backtest.fills import NO_BUYING, NO_SELLING, with_limits
from pipelines.backtest.rules import LOCKED_MOVE
from pipelines.market.calendar import calendar

pytestmark = pytest.mark.slow

NUMBERS = {
    "open": "OPEN_PRICE",
    "high": "HIGH_PRICE",
    "low": "LOW_PRICE",
    "close": "CLOSE_PRICE",
    "prev_close": "PREV_CLOSE",
    "volume": "TTL_TRD_QNTY",
}


def limited(rows: pl.DataFrame) -> pl.DataFrame:
    bars = rows.filter(pl.col("SERIES").is_in(["EQ", "BE", "BZ"])).select(
        instrument_id=pl.format("XNSE:{}", "SYMBOL"),
        session_date=pl.col("DATE1").str.to_titlecase().str.to_date("%d-%b-%Y"),
        series="SERIES",
        **{name: pl.col(column).cast(pl.Float64) for name, column in NUMBERS.items()},
    )
    once = bars.unique(["instrument_id", "session_date"], keep="first", maintain_order=True)
    numbers = calendar("XNSE").frame().select("session_date", "session_number")
    return with_limits(once.join(numbers, on="session_date"), effects_of(None), LOCKED_MOVE)


@pytest.fixture(scope="module")
def panel(shared: Path) -> pl.DataFrame:
    """37 shares, 2010 to 2026, no action recorded."""
    return limited(pl.read_parquet(shared / "data" / "nse_daily" / "nse_bhav_panel.parquet"))


@pytest.fixture(scope="module")
def market(shared: Path) -> pl.DataFrame:
    """The whole market in 24 sessions of 2024."""
    files = []
    for path in sorted((shared / "data" / "nse_bhavcopy").glob("sec_bhavdata_full*.zip")):
        with zipfile.ZipFile(path) as packed:
            rows = pl.read_csv(io.BytesIO(packed.read(packed.namelist()[0])), infer_schema=False)
        files.append(rows.rename(str.strip).with_columns(pl.all().str.strip_chars()))
    return limited(pl.concat(files))


def test_paytm_was_locked_on_three_days_of_february_2024_and_on_five_upwards(panel) -> None:
    locked = panel.filter((pl.col("instrument_id") == "XNSE:PAYTM") & (pl.col("blocked") > 0))
    down, up = (locked.filter(pl.col("blocked") == side)["session_date"].to_list() for side in (NO_SELLING, NO_BUYING))
    assert down == [date(2024, 2, 1), date(2024, 2, 2), date(2024, 2, 5)]
    assert up == [date(2024, 2, 19), date(2024, 2, 20), date(2024, 2, 21), date(2024, 5, 29), date(2024, 5, 30)]


def test_every_session_at_one_price_was_at_a_band_and_no_other_counts(panel) -> None:
    locked = panel.filter(pl.col("blocked") > 0)
    assert locked.height == panel.filter(pl.col("high") == pl.col("low")).height == 346
    assert dict(locked.group_by("instrument_id").len().iter_rows()) == {
        "XNSE:DHFL": 88,
        "XNSE:JETAIRWAYS": 244,
        "XNSE:PAYTM": 8,
        "XNSE:YESBANK": 5,
        "XNSE:ZYDUSLIFE": 1,
    }
    assert panel.filter("must_deliver")["instrument_id"].unique().to_list() == ["XNSE:JETAIRWAYS"]


def test_what_is_locked_in_the_whole_market_stands_at_a_band_to_the_tick(market) -> None:
    """Seven in a thousand bars. The others of 1,095 are illiquid shares that traded once, off the band."""
    locked = market.filter(pl.col("blocked") > 0).with_columns(move=(pl.col("high") / pl.col("reference") - 1).abs())
    away = pl.min_horizontal((pl.col("move") - band).abs() for band in (0.02, 0.05, 0.1, 0.2)) * pl.col("reference")
    assert locked.height == 1095
    assert locked.filter(away > 0.06).height == 5


def test_gaps_that_no_trading_explains_are_the_splits_bonuses_and_demergers(panel) -> None:
    """Smaller ones lie within the band. The fall of a bad day does not count, nor do PAYTM's and YESBANK's 20 %."""
    gaps = panel.filter("is_unexplained_gap")
    assert gaps.height == 41
    names = gaps.select(pl.col("instrument_id").str.strip_prefix("XNSE:"), "session_date").rows()
    demerged = {("ADANIENT", date(2018, 9, 6)), ("TATAMOTORS", date(2025, 10, 14))}
    odd_bonuses = {("WIPRO", date(2019, 3, 6)), ("LT", date(2013, 7, 11)), ("ITC", date(2016, 7, 1))}
    assert demerged | odd_bonuses <= set(names)


def test_of_the_whole_market_in_24_sessions_thirteen_gaps_lack_an_action(market) -> None:
    assert market.filter("is_unexplained_gap")["instrument_id"].to_list() == [
        f"XNSE:{name}"
        for name in (
            *("DRREDDY", "GPIL", "HEG", "HERCULES", "JASH", "JINDALSAW", "MASKINVEST"),
            *("NBCC", "POCL", "POWERMECH", "RELIANCE", "SUKHJITS", "VAISHALI"),
        )
    ]
