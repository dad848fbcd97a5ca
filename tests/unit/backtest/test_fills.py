"""Which bars can be traded on: each rule on a few bars, and what the scanners must have in common with it."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from pipelines.backtest.actions import effects_of
from pipelines.backtest.fills import (
    NO_BUYING,
    NO_SELLING,
    TRADE_TO_TRADE,
    missing_actions,
    with_limits,
    with_minute_limits,
)
from pipelines.package_data import shipped

A = "XNSE:A"


def bars(*prices: tuple[float, float, float, float], name: str = A, numbers: tuple[int, ...] = (), **more: list) -> pl.DataFrame:
    count = len(prices)
    frame = pl.DataFrame(prices, schema=["open", "high", "low", "close"], orient="row")
    days = [date(2024, 1, 1) + timedelta(days=n) for n in (numbers or range(count))]
    columns = {"session_date": days, "session_number": list(numbers or range(count)), **more}
    return frame.with_columns(instrument_id=pl.lit(name), **{key: pl.Series(values) for key, values in columns.items()})


def blocked(frame: pl.DataFrame, actions: pl.DataFrame | None = None) -> list[int]:
    return with_limits(frame, effects_of(actions), 0.015)["blocked"].to_list()


def at(price: float) -> tuple[float, float, float, float]:
    return (price, price, price, price)


def act(number: int, action: str, ratio: float | None) -> pl.DataFrame:
    row = {"instrument_id": A, "ex_date": date(2024, 1, 1) + timedelta(days=number), "action": action, "ratio": ratio}
    return pl.DataFrame([row], schema_overrides={"ratio": pl.Float64})


@pytest.mark.parametrize(
    ("bar", "flags"),
    [
        (at(95), NO_SELLING),
        (at(105), NO_BUYING),
        (at(98), NO_SELLING),
        (at(101.4), 0),
        (at(100), 0),
        ((95, 95.05, 95, 95), 0),
        (at(50), 0),
    ],
    ids=["lower band", "upper band", "narrowest band", "too near", "unmoved", "two prices", "beyond every band"],
)
def test_a_session_at_one_price_is_locked_where_it_moved(bar, flags) -> None:
    assert blocked(bars(at(100), bar)) == [0, flags]


def test_only_an_exchange_with_bands_has_locked_sessions() -> None:
    assert blocked(bars(at(100), at(95), name="XNYS:A")) == [0, 0]
    assert blocked(bars(at(100), at(95), name="XBOM:A")) == [0, NO_SELLING]


def test_a_bar_without_volume_fills_nobody_on_any_exchange() -> None:
    assert blocked(bars(at(100), at(100), name="XNYS:A", volume=[10, 0])) == [0, NO_BUYING | NO_SELLING]


def test_the_last_close_is_carried_through_the_actions_between() -> None:
    assert blocked(bars(at(100), at(50)), act(1, "split", 2.0)) == [0, 0]
    assert blocked(bars(at(100), at(47.5)), act(1, "split", 2.0)) == [0, NO_SELLING]
    assert blocked(bars(at(100), at(95)), act(1, "demerger", None)) == [0, 0]


def test_after_sessions_without_a_bar_the_files_previous_close_counts() -> None:
    """Three sessions on, at the price of the day before: no move; without that the last bar counts, for ten sessions."""
    known = {"prev_close": [None, 95.0]}
    assert blocked(bars(at(100), at(95), numbers=(0, 3), **known)) == [0, 0]
    assert blocked(bars(at(100), at(95), numbers=(0, 3))) == [0, NO_SELLING]
    assert blocked(bars(at(100), at(95), numbers=(0, 11))) == [0, 0]


@pytest.mark.parametrize(("opened", "missing"), [(79.0, False), (78.5, True), (121.0, False), (150.0, True)])
def test_an_open_beyond_the_widest_band_lacks_an_action(opened, missing) -> None:
    limited = with_limits(bars(at(100), (opened, 200, 50, 100)), effects_of(None), 0.015)
    assert missing_actions(limited, None)["ex_date"].to_list() == ([date(2024, 1, 2)] if missing else [])


def test_a_recorded_action_is_not_missing_and_a_finding_is_counted_once() -> None:
    frame = bars(at(100), (49, 51, 48, 50))
    split = act(1, "split", 2.0)
    assert missing_actions(with_limits(frame, effects_of(split), 0.015), None).is_empty()
    flags = pl.DataFrame(
        {"instrument_id": [A] * 2, "session_date": [date(2024, 1, 2)] * 2, "flag": ["unrecorded_split", "frozen_price"]}
    )
    missing = missing_actions(with_limits(frame, effects_of(None), 0.015), flags)
    assert missing.select("instrument_id", "ex_date", "action", "ratio").rows() == [(A, date(2024, 1, 2), "demerger", None)]


@pytest.mark.parametrize(("price", "flags"), [(105.0, NO_BUYING), (95.04, NO_SELLING), (80.0, NO_SELLING), (103.0, 0), (95.1, 0)])
def test_a_minute_at_one_price_is_locked_at_a_band_only(price, flags) -> None:
    frame = bars(at(price)).with_columns(reference=pl.lit(100.0))
    assert with_minute_limits(frame)["blocked"].to_list() == [flags]
    assert with_minute_limits(frame.with_columns(low=pl.col("low") - 0.05))["blocked"].to_list() == [0]


def test_the_scanners_take_the_same_series_for_trade_to_trade() -> None:
    text = (shipped("dbt_project") / "models/scan/universe.sql").read_text()
    assert f"traded_lately.series not in {TRADE_TO_TRADE}" in text
