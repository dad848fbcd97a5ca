"""One ticker, two companies: ticker histories decide by (ticker, day), whatever arrives first.

Known truths, of Lean's map files: Waste Management traded as UW until 1998-07-16, as WMI until 2009-08-04 and as WM since; before
that WM was Washington Mutual, of which there is no map file. AOL took the ticker TWX on 2003-10-16; the Time Warner that it had
bought traded as TWX until 2001-01-11. The fund EEM was listed on 2003-04-11; EEM was another security until 2002.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

LATER = datetime(2025, 4, 1, 12, tzinfo=UTC)
WASTE = "19980102,uw\n19980716,uw\n20090804,wmi\n20501231,wm\n"
#: A dividend of Waste Management while it was WMI, and while WM was Washington Mutual.
WASTE_FACTORS = "19980102,0.98,1,30\n20040225,0.98,1,29.14\n20501231,1,1,0\n"
AOL, TIME_WARNER = "19980102,aol\n20031015,aol\n20501231,twx\n", "19980102,twx\n20010111,twx\n"
#: Of AOL: two for one on 1998-03-17 and 1999-02-23.
AOL_FACTORS = "19980102,1,0.25,1\n19980316,1,0.25,129.63\n19990222,1,0.5,173.25\n20501231,1,1,0\n"
MUTUAL = "XNYS:WM:1998-07-15"


def day_bars(symbol: str, *days: str, price: int = 30):
    return [(symbol, day, price, price + 1, price - 1, price, 100 + number) for number, day in enumerate(days)]


@pytest.fixture
def files(road, bars_csv):
    """Deliveries by name: Washington Mutual's and Waste Management's bars, the latter's history and factors."""
    later = {"received_at": LATER}
    mutual = day_bars("WM", "1998-07-15", "1998-07-17", "2004-02-26", "2008-09-25", price=45)
    waste = [*day_bars("UW", "1998-07-15", "1998-07-16"), *day_bars("WMI", "1998-07-17", "2004-02-26", "2008-09-25", "2009-08-04")]
    return {
        "history": road.deliver("map_files/wm.csv", WASTE, source="lean", **later),
        "factors": road.deliver("factor_files/wm.csv", WASTE_FACTORS, source="lean", **later),
        "before": road.deliver("before.csv", bars_csv(waste)),
        "since": road.deliver("wm.csv", bars_csv([*mutual, *day_bars("WM", "2009-08-05", "2009-08-06")])),
    }


def holders(road, table: str = "bars_daily") -> dict[tuple[str, str], str]:
    rows = road.rows(table)
    return {(symbol, str(day)): owner for symbol, day, owner in rows.select("symbol", "session_date", "instrument_id").rows()}


TRUTH = {
    **{("WM", day): MUTUAL for day in ("1998-07-15", "1998-07-17", "2004-02-26", "2008-09-25")},
    **{("WM", day): "XNYS:WM" for day in ("2009-08-05", "2009-08-06")},
    **{("UW", day): "XNYS:WM" for day in ("1998-07-15", "1998-07-16")},
    **{("WMI", day): "XNYS:WM" for day in ("1998-07-17", "2004-02-26", "2008-09-25", "2009-08-04")},
}


def names(road) -> list[tuple[object, ...]]:
    rows = road.rows("instrument_aliases").filter(pl.col("kind") == "symbol")
    held = rows.filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    return sorted(held.select("instrument_id", "value", "valid_from", "valid_to").rows())


ORDERS = [
    (("history", "factors", "before", "since"),),
    (("history",), ("since",), ("before",), ("factors",)),
    (("since",), ("before",), ("factors",), ("history",)),
    (("since",), ("history",), ("before",)),
    (("before", "since"), ("history", "factors")),
    (("factors", "before"), ("history",), ("since",)),
    (("since",), ("history", "before", "factors")),
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: " | ".join("+".join(step) for step in order))
def test_the_earlier_holder_of_a_ticker_is_a_company_of_its_own_in_any_order(road, files, order) -> None:
    for step in order:
        road.ingest(*(files[name] for name in step))
    assert holders(road) == TRUTH
    assert road.quarantined() == []
    assert names(road) == [
        ("XNYS:WM", "UW", date(1998, 1, 2), date(1998, 7, 16)),
        ("XNYS:WM", "WM", date(2009, 8, 5), None),
        ("XNYS:WM", "WMI", date(1998, 7, 17), date(2009, 8, 4)),
        (MUTUAL, "WM", date(1998, 7, 15), date(2009, 8, 4)),
    ]
    if any("factors" in step for step in order):
        assert set(road.rows("corporate_actions")["instrument_id"]) == {"XNYS:WM"}
    listed = road.rows("instruments").filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    assert dict(listed.group_by("instrument_id").agg(pl.col("valid_to").is_null().any()).rows()) == {"XNYS:WM": True, MUTUAL: False}
