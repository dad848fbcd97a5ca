"""NSE's closing auction: which sessions and shares it shortens, and which it leaves alone."""

from datetime import date

import pytest

from pipelines.market.calendar import calendar
from pipelines.market.closing_auction import auction_minutes, closing_auctions


@pytest.mark.parametrize(
    ("day", "minutes"),
    [
        (date(2026, 7, 31), None),  # the last session before
        (date(2026, 8, 3), 360),  # 09:15 to 15:15
        (date(2026, 12, 31), 360),
    ],
)
def test_shares_of_the_auction_trade_fifteen_minutes_less_from_3_august_2026(day: date, minutes: int | None) -> None:
    session = calendar("XNSE").session(day)
    assert session.bars_expected == 375
    assert auction_minutes("XNSE", session) == minutes


def test_the_published_sessions_say_both_counts_and_where_the_close_is_an_average() -> None:
    frame = calendar("XNSE").frame()
    by_day = {row["session_date"]: row for row in frame.iter_rows(named=True)}
    assert by_day[date(2026, 8, 3)]["bars_expected_auction"] == 360
    assert by_day[date(2024, 3, 2)]["bars_expected_auction"] is None
    averaged = by_day[date(2024, 1, 3)]["close_averaged_from"]
    assert f"{averaged:%H:%M}" == "09:30"  # 15:00 in India
    new_york = calendar("XNYS").frame()
    assert new_york["bars_expected_auction"].null_count() == new_york["close_averaged_from"].null_count() == new_york.height


def test_the_list_names_each_share_once_and_no_fund() -> None:
    symbols = closing_auctions("XNSE")["symbol"].to_list()
    assert len(symbols) == len(set(symbols)) == 24
    assert "RELIANCE" in symbols
    assert "NIFTYBEES" not in symbols
    assert closing_auctions("XNYS").is_empty()
