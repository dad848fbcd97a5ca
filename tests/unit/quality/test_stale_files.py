"""The session before, delivered again: refused whole, with the session that it equals."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from pipelines.market.calendar import calendar

CM = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
#: Thursday before and Monday after the long weekend of Good Friday 2024.
THURSDAY, MONDAY = date(2024, 3, 28), date(2024, 4, 1)


def market(pipeline, day: date, volumes: dict[str, int], price: float = 10):
    """A bhavcopy; shares called T… trade at `price`."""
    prices = {symbol: price if symbol[0] == "T" else 10 for symbol in volumes}
    lines = [
        f"{symbol},EQ,{p},{p + 1},{p},{p + 0.5},{p},{p},{volumes[symbol]},,{day:%d-%b-%Y},7,,\n" for symbol, p in prices.items()
    ]
    return pipeline.deliver(f"cm{day:%d%b%Y}bhav.csv", CM + "".join(lines), source="nse_bhavcopy", mic="XNSE")


@pytest.mark.parametrize("together", [True, False])
def test_thursday_s_bars_under_monday_s_date_are_refused_and_named(pipeline, together: bool) -> None:
    volumes = {f"S{n}": 100 + n for n in range(20)}
    thursday, monday = market(pipeline, THURSDAY, volumes), market(pipeline, MONDAY, volumes)
    if together:
        staged = pipeline.stage(thursday, monday)
    else:
        pipeline.ingest(thursday)
        staged = pipeline.stage(monday)
    refused = [f for f in staged.files if f.status == "refused"]
    assert [f.delivery.name for f in refused] == ["cm01Apr2024bhav.csv"]
    assert "is of 2024-04-01, but 100% of its 20 bars equal those of 2024-03-28" in refused[0].reason
    assert MONDAY not in staged.tables["bars_daily"]["session_date"].to_list()
    assert staged.counts["bars_daily"].read == (20 if together else 0)


def test_a_market_that_traded_is_let_in_though_some_shares_stood_still(pipeline) -> None:
    still = {f"S{n}": 100 + n for n in range(7)}
    pipeline.ingest(market(pipeline, THURSDAY, {**still, **{f"T{n}": 100 + n for n in range(13)}}))
    staged = pipeline.stage(market(pipeline, MONDAY, {**still, **{f"T{n}": 300 + n for n in range(13)}}, price=12))
    assert [f.status for f in staged.files] == ["accepted"]


def test_the_same_session_again_is_no_repeat_of_the_one_before(pipeline) -> None:
    volumes = {f"S{n}": 100 + n for n in range(20)}
    pipeline.ingest(market(pipeline, THURSDAY, volumes))
    figures = pipeline.ingest(market(pipeline, THURSDAY, volumes))
    assert (figures["bars_daily"]["read"], figures["bars_daily"]["unchanged"]) == (20, 20)


def test_a_file_with_far_fewer_instruments_than_usual_is_let_in_with_a_warning(pipeline) -> None:
    pipeline.ingest(market(pipeline, THURSDAY, {f"T{n}": 100 + n for n in range(20)}))
    (thin,) = pipeline.stage(market(pipeline, MONDAY, {f"T{n}": 200 + n for n in range(15)}, price=11)).files
    assert (thin.status, thin.rows_read) == ("accepted", 15)
    assert "15 instruments for 2024-04-01, where 20 are usual" in thin.reason
    (whole,) = pipeline.stage(market(pipeline, MONDAY, {f"T{n}": 200 + n for n in range(16)}, price=11)).files
    assert whole.reason is None


SESSIONS = [s.session_date for s in calendar("XNYS").between(date(2024, 1, 2), date(2024, 1, 31))]


def bars(day: date, of: date | None = None, count: int = 27) -> list[list[Any]]:
    """A market whose figures are those of the session `of` (default: of the day itself)."""
    figures = np.random.default_rng((of or day).toordinal())
    rows: list[list[Any]] = []
    for n in range(count):
        opened, closed = figures.normal(100 + n, 1, 2).round(2)
        high, low = max(opened, closed) + 0.37, min(opened, closed) - 0.41
        rows.append([f"S{n:02}", day, opened, round(high, 2), round(low, 2), closed, int(figures.integers(10_000, 99_999))])
    return rows


def one_column(rows: list[list[Any]]) -> list[list[Any]]:
    return [[*row[:6], int(row[6] * 1.07)] for row in rows]


def one_row_in_nine(rows: list[list[Any]]) -> list[list[Any]]:
    return [[*row[:2], *(v * 1.01 for v in row[2:6]), row[6] + 1] if n % 9 == 0 else row for n, row in enumerate(rows)]


def rounded(rows: list[list[Any]]) -> list[list[Any]]:
    return [[*row[:2], *(round(v, 1) for v in row[2:6]), round(row[6], -2)] for row in rows]


@pytest.fixture
def month(pipeline, bars_csv):
    """All sessions of January 2024 but the last two."""
    pipeline.ingest(pipeline.deliver("january.csv", bars_csv([row for day in SESSIONS[:-2] for row in bars(day)])))
    assert pipeline.quarantined() == []
    return pipeline


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("change", [list, one_column, one_row_in_nine, rounded])
def test_a_copy_of_any_recent_session_is_refused_whatever_was_changed_in_it_from_any_source(month, bars_csv, change) -> None:
    for of in (SESSIONS[0], SESSIONS[10], SESSIONS[-3]):
        (file,) = month.stage(month.deliver(f"{of}.csv", bars_csv(change(bars(SESSIONS[-2], of))))).files
        assert file.status == "refused"
        assert f"the session of {of} delivered again" in file.reason


def test_a_relabelled_session_restates_no_stored_one(month, bars_csv) -> None:
    staged = month.stage(month.deliver("old.csv", bars_csv(bars(SESSIONS[5], SESSIONS[12]))))
    assert [f.status for f in staged.files] == ["refused"]


@pytest.mark.slow
@pytest.mark.measured
def test_a_copied_session_within_a_longer_file_is_set_aside_and_the_others_go_in(month, bars_csv) -> None:
    rows = [*bars(SESSIONS[-2], SESSIONS[4]), *bars(SESSIONS[-1])]
    figures = month.ingest(month.deliver("two.csv", bars_csv(rows)))["bars_daily"]
    assert (figures["accepted"], figures["quarantined"]) == (27, 27)
    assert set(month.quarantined()) == {("bars_daily", "stale_session")}


@pytest.mark.slow
@pytest.mark.measured
def test_the_right_file_of_a_stored_session_and_a_corrected_one_are_no_copies(month, bars_csv) -> None:
    assert month.ingest(month.deliver("again.csv", bars_csv(bars(SESSIONS[5]))))["bars_daily"]["unchanged"] == 27
    figures = month.ingest(month.deliver("better.csv", bars_csv(one_row_in_nine(bars(SESSIONS[5])))))["bars_daily"]
    assert (figures["restated"], figures["unchanged"]) == (3, 24)


def minutes(day: date, of: date) -> list[tuple[object, ...]]:
    figures = np.random.default_rng(of.toordinal())
    prices = (100 + figures.normal(0, 0.05, 390).cumsum()).round(2)
    volumes = figures.integers(100, 9_999, 390)
    opened = datetime.fromisoformat(f"{day} 09:30")
    return [
        ("IBM", opened + timedelta(minutes=n), p, round(p + 0.04, 2), round(p - 0.03, 2), p, int(v))
        for n, (p, v) in enumerate(zip(prices, volumes, strict=True))
    ]


def test_minutes_of_another_session_are_refused(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("first.csv", bars_csv([row for day in SESSIONS[:3] for row in minutes(day, day)])))
    (file,) = pipeline.stage(pipeline.deliver("copy.csv", bars_csv(minutes(SESSIONS[3], SESSIONS[1])))).files
    assert file.status == "refused"
    assert f"the session of {SESSIONS[1]} delivered again" in file.reason
    (right,) = pipeline.stage(pipeline.deliver("right.csv", bars_csv(minutes(SESSIONS[3], SESSIONS[3])))).files
    assert right.status == "accepted"
