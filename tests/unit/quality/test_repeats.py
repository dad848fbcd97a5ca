"""The session before, delivered again: refused whole, with the session that it equals."""

from datetime import date

import pytest

CM = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
#: Thursday before and Monday after the long weekend of Good Friday 2024.
THURSDAY, MONDAY = date(2024, 3, 28), date(2024, 4, 1)


def market(road, day: date, volumes: dict[str, int]):
    lines = [f"{symbol},EQ,10,11,10,10.5,10,10,{volume},,{day:%d-%b-%Y},7,,\n" for symbol, volume in volumes.items()]
    return road.deliver(f"cm{day:%d%b%Y}bhav.csv", CM + "".join(lines), source="nse_bhavcopy", mic="XNSE")


@pytest.mark.parametrize("together", [True, False])
def test_thursday_s_bars_under_monday_s_date_are_refused_and_named(road, together: bool) -> None:
    volumes = {f"S{n}": 100 + n for n in range(20)}
    thursday, monday = market(road, THURSDAY, volumes), market(road, MONDAY, volumes)
    if together:
        staged = road.stage(thursday, monday)
    else:
        road.ingest(thursday)
        staged = road.stage(monday)
    refused = [f for f in staged.files if f.status == "refused"]
    assert [f.delivery.name for f in refused] == ["cm01Apr2024bhav.csv"]
    assert "is of 2024-04-01, but 100% of its 20 bars equal those of 2024-03-28" in refused[0].reason
    assert MONDAY not in staged.tables["bars_daily"]["session_date"].to_list()
    assert staged.counts["bars_daily"].read == (20 if together else 0)


def test_a_market_that_traded_is_let_in_though_some_shares_stood_still(road) -> None:
    still = {f"S{n}": 100 + n for n in range(17)}
    road.ingest(market(road, THURSDAY, {**still, "A": 1, "B": 2, "C": 3}))
    staged = road.stage(market(road, MONDAY, {**still, "A": 4, "B": 5, "C": 6}))
    assert [f.status for f in staged.files] == ["accepted"]


def test_the_same_session_again_is_no_repeat_of_the_one_before(road) -> None:
    volumes = {f"S{n}": 100 + n for n in range(20)}
    road.ingest(market(road, THURSDAY, volumes))
    figures = road.ingest(market(road, THURSDAY, volumes))
    assert (figures["bars_daily"]["read"], figures["bars_daily"]["unchanged"]) == (20, 20)


def test_a_file_with_far_fewer_instruments_than_usual_is_let_in_with_a_warning(road) -> None:
    road.ingest(market(road, THURSDAY, {f"S{n}": 100 + n for n in range(20)}))
    (thin,) = road.stage(market(road, MONDAY, {f"S{n}": 200 + n for n in range(15)})).files
    assert (thin.status, thin.rows_read) == ("accepted", 15)
    assert "15 instruments for 2024-04-01, where 20 are usual" in thin.reason
    (whole,) = road.stage(market(road, MONDAY, {f"S{n}": 200 + n for n in range(16)})).files
    assert whole.reason is None
