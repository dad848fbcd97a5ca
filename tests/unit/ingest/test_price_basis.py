"""The basis of a delivery's prices is kept in the lake."""

from __future__ import annotations

from datetime import date
from pathlib import Path


def test_split_adjusted_closes_say_so_in_the_register_of_files(road) -> None:
    rows = "2024-01-02,10,11,9,10,9.5,5\n2024-01-03,10,11,9,10,9.5,5\n"
    road.ingest(
        road.deliver("AAPL.csv", "Date,Open,High,Low,Close,Adj Close,Volume\n" + rows),
        road.deliver("MSFT.csv", "Date,Open,High,Low,Close,Volume\n2024-01-02,10,11,9,10,5\n"),
    )
    files = {row["name"]: row for row in road.rows("raw_files").iter_rows(named=True)}
    assert (files["AAPL.csv"]["status"], files["AAPL.csv"]["price_basis"]) == ("accepted", "split_adjusted")
    assert "Adj Close: adjusted afterwards and not read" in files["AAPL.csv"]["reason"]
    assert files["MSFT.csv"]["price_basis"] is None


def action(ex_date: str, kind: str = "split", number: str = "2") -> str:
    ratio, amount = (number, "") if kind != "dividend" else ("", number)
    return f"symbol,ex_date,action,ratio,amount\nAAPL,{ex_date},{kind},{ratio},{amount}\n"


YAHOO = "Date,Open,High,Low,Close,Adj Close,Volume\n" + "".join(f"2024-01-0{day},10,11,9,10,9.5,5\n" for day in (2, 3, 4, 5))


def closes(road) -> list[str]:
    return [str(day) for day in road.rows("bars_daily").sort("session_date")["session_date"]]


def test_a_split_on_record_is_not_applied_again_to_prices_that_contain_it(road) -> None:
    road.ingest(road.deliver("actions.csv", action("2024-01-04"), source="actions"))
    road.ingest(road.deliver("AAPL.csv", YAHOO))
    assert road.quarantined() == [("bars_daily", "already_adjusted")] * 2
    assert closes(road) == ["2024-01-04", "2024-01-05"]


def test_a_split_that_stored_prices_contain_is_kept_out(road) -> None:
    road.ingest(road.deliver("AAPL.csv", YAHOO))
    road.ingest(road.deliver("actions.csv", action("2024-01-04"), source="actions"))
    assert road.quarantined() == [("corporate_actions", "already_in_prices")]
    assert road.rows("corporate_actions").is_empty()
    assert len(closes(road)) == 4


def test_bars_and_their_split_in_one_order_leave_prices_as_traded_alone(road) -> None:
    road.ingest(road.deliver("AAPL.csv", YAHOO), road.deliver("actions.csv", action("2024-01-04"), source="actions"))
    assert road.quarantined() == [("bars_daily", "already_adjusted")] * 2
    assert road.rows("corporate_actions").height == 1


def test_an_action_after_the_files_arrival_or_a_dividend_is_not_in_split_adjusted_prices(road) -> None:
    road.ingest(road.deliver("AAPL.csv", YAHOO))
    road.ingest(
        road.deliver("later.csv", action("2025-12-01"), source="actions"),
        road.deliver("dividend.csv", action("2024-01-04", "dividend", "0.1"), source="actions"),
    )
    assert road.quarantined() == []
    assert road.rows("corporate_actions").height == 2


def test_prices_as_traded_take_every_action(road) -> None:
    plain = "Date,Open,High,Low,Close,Volume\n2024-01-02,20,22,18,20,5\n2024-01-03,20,22,18,20,5\n2024-01-04,10,11,9,10,5\n"
    road.ingest(road.deliver("AAPL.csv", plain), road.deliver("actions.csv", action("2024-01-04"), source="actions"))
    assert road.quarantined() == []
    assert road.rows("bars_daily").height == 3


def test_nvidias_file_of_yahoo_and_its_split_of_2007_do_not_meet(road, shared: Path) -> None:
    """3 for 2 on 2007-09-11; the file closes at 33.86 on the day before and 34.58 on the day itself: it contains the split."""
    split = road.deliver("nvda.csv", "symbol,ex_date,action,ratio\nNVDA,2007-09-11,split,1.5\n", source="actions")
    text = (shared / "data" / "backtrader" / "nvda-1999-2014.txt").read_text()
    before = sum("1999-01-01" <= line[:10] < "2007-09-11" for line in text.splitlines()[1:])
    road.ingest(split)
    figures = road.ingest(road.deliver("NVDA.csv", text))["bars_daily"]
    held = road.rows("quarantine").filter(rule="already_adjusted")
    assert held.height == before == 2171
    assert figures["read"] == before + figures["accepted"] + (figures["quarantined"] - before)
    assert road.rows("bars_daily")["session_date"].min() == date(2007, 9, 11)
