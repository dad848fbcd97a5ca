"""The gate holds a batch against the market before it and against the daily bars of its sessions."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from pipelines.ingest.publish import run_gate, validate_staged
from pipelines.quality.market_context import market_context
from pipelines.sources.registry import load_sources

DAY = date(2024, 1, 8)
NAMES = [f"S{n:02}" for n in range(20)]


def market(day: date, names: list[str]) -> list[tuple[object, ...]]:
    """Instruments around 100 and dearer; on DAY the first one stands at 100."""
    moved = (day - DAY).days * 0.1
    prices = [(name, 100 + n + moved) for n, name in enumerate(names)]
    return [(name, day, p, p + 1, p - 1, p, 1000 + day.day * 10) for name, p in prices]


@pytest.fixture
def usual(pipeline, bars_csv):
    """Four sessions of twenty instruments in the lake."""
    days = [date(2024, 1, n) for n in (2, 3, 4, 5)]
    pipeline.ingest(pipeline.deliver("usual.csv", bars_csv([row for day in days for row in market(day, NAMES)])))
    return pipeline


def verdict_of(pipeline, bars_csv, names: list[str], whole_market: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(type(load_sources()["csv"]), "whole_market", "csv" in whole_market)
    staged = pipeline.stage(pipeline.deliver("day.csv", bars_csv(market(DAY, names))))
    return validate_staged(pipeline.lake, "XNYS", "bars_daily", with_no_decision(staged.tables["bars_daily"]))


def with_no_decision(rows: pl.DataFrame) -> pl.DataFrame:
    return rows if "overrules" in rows.columns else rows.with_columns(overrules=pl.lit(None, pl.List(pl.String)))


@pytest.mark.parametrize(
    ("delivered", "refused", "warned"),
    [(20, [], []), (19, [], []), (17, [], ["market_is_complete"]), (9, ["market_is_there"], ["market_is_complete"])],
)
def test_a_whole_market_is_refused_below_half_and_warned_of_below_nine_tenths(
    usual, bars_csv, delivered: int, refused: list[str], warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    validation = verdict_of(usual, bars_csv, NAMES[:delivered], ["csv"], monkeypatch)
    assert list(validation.refused.get(DAY, ())) == refused
    assert [j.name for j in validation.warnings] == warned


def test_a_source_that_promises_no_market_may_deliver_one_instrument(usual, bars_csv, monkeypatch: pytest.MonkeyPatch) -> None:
    validation = verdict_of(usual, bars_csv, NAMES[:1], [], monkeypatch)
    assert (validation.refused, validation.warnings) == ({}, ())


@pytest.mark.slow
@pytest.mark.measured
def test_stored_bars_of_the_session_count_too(usual, bars_csv, monkeypatch: pytest.MonkeyPatch) -> None:
    """A correction of one bar in a session that is there is no thin market."""
    usual.ingest(usual.deliver("whole.csv", bars_csv(market(DAY, NAMES))))
    assert verdict_of(usual, bars_csv, NAMES[:1], ["csv"], monkeypatch).refused == {}


def test_the_first_market_ever_has_nothing_to_be_held_against(pipeline, bars_csv) -> None:
    staged = pipeline.stage(pipeline.deliver("first.csv", bars_csv(market(DAY, NAMES))))
    around = market_context(pipeline.lake, "XNYS", "bars_daily", staged.tables["bars_daily"], ["csv"])
    assert around is not None
    assert around.rows() == [(DAY, None, None, None)]


def minutes(price: float, high: float | None = None) -> list[tuple[object, ...]]:
    opened = datetime.fromisoformat(f"{DAY} 09:30")
    rows = [("S00", opened + timedelta(minutes=n), price, price * 1.001, price * 0.999, price, 10) for n in range(390)]
    if high is not None:
        rows[7] = (*rows[7][:3], high, *rows[7][4:])
    return rows


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize(
    ("price", "high", "refused", "warned"),
    [
        (100.0, None, [], []),
        (100.0, 101.6, [], ["high_lies_within_the_day"]),  # the day's high is 101
        (
            34.0,
            None,
            ["high_is_of_the_same_scale_as_the_day", "low_is_of_the_same_scale_as_the_day", "minutes_trade_within_the_day"],
            ["low_lies_within_the_day"],
        ),
    ],
)
def test_minutes_are_held_against_the_daily_bar_delivered_with_them_or_stored(
    pipeline, bars_csv, price: float, high: float | None, refused: list[str], warned: list[str]
) -> None:
    from tests.support.pipeline import stage_request

    daily = pipeline.deliver("daily.csv", bars_csv(market(DAY, NAMES[:1])))
    minute = pipeline.deliver("minute.csv", bars_csv(minutes(price, high)))
    state = pipeline.settings.state_dir
    together = stage_request(pipeline.lake, pipeline.order(daily, minute), load_sources(), state, pipeline.limits)
    found = [run_gate(pipeline.lake, "XNYS", "bars_1m", together, state)]
    pipeline.ingest(daily)
    alone = stage_request(
        pipeline.lake,
        pipeline.order(pipeline.deliver("later.csv", bars_csv(minutes(price, high))[:-1])),
        load_sources(),
        state,
        pipeline.limits,
    )
    found.append(run_gate(pipeline.lake, "XNYS", "bars_1m", alone, state))
    for validation in found:
        assert list(validation.refused.get(DAY, ())) == refused
        assert [j.name for j in validation.warnings] == warned


def test_minutes_without_a_daily_bar_pass(pipeline, bars_csv) -> None:
    figures = pipeline.ingest(pipeline.deliver("minute.csv", bars_csv(minutes(34.0))))
    assert figures["bars_1m"]["accepted"] == 390
