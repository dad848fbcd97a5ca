"""The basis of a delivery's prices is kept in the lake."""

from __future__ import annotations

from datetime import date
from pathlib import Path


def test_split_adjusted_closes_say_so_in_the_register_of_files(pipeline) -> None:
    rows = "2024-01-02,10,11,9,10,9.5,5\n2024-01-03,10,11,9,10,9.5,5\n"
    pipeline.ingest(
        pipeline.deliver("AAPL.csv", "Date,Open,High,Low,Close,Adj Close,Volume\n" + rows),
        pipeline.deliver("MSFT.csv", "Date,Open,High,Low,Close,Volume\n2024-01-02,10,11,9,10,5\n"),
    )
    files = {row["name"]: row for row in pipeline.rows("raw_files").iter_rows(named=True)}
    assert (files["AAPL.csv"]["status"], files["AAPL.csv"]["price_basis"]) == ("accepted", "split_adjusted")
    assert "Adj Close: adjusted afterwards and not read" in files["AAPL.csv"]["reason"]
    assert files["MSFT.csv"]["price_basis"] is None


def action(ex_date: str, kind: str = "split", number: str = "2") -> str:
    ratio, amount = (number, "") if kind != "dividend" else ("", number)
    return f"symbol,ex_date,action,ratio,amount\nAAPL,{ex_date},{kind},{ratio},{amount}\n"


YAHOO = "Date,Open,High,Low,Close,Adj Close,Volume\n" + "".join(f"2024-01-0{day},10,11,9,10,9.5,5\n" for day in (2, 3, 4, 5))


def closes(pipeline) -> list[str]:
    return [str(day) for day in pipeline.rows("bars_daily").sort("session_date")["session_date"]]


def test_a_split_on_record_is_not_applied_again_to_prices_that_contain_it(pipeline) -> None:
    pipeline.ingest(pipeline.deliver("actions.csv", action("2024-01-04"), source="actions"))
    pipeline.ingest(pipeline.deliver("AAPL.csv", YAHOO))
    assert pipeline.quarantined() == [("bars_daily", "already_adjusted")] * 2
    assert closes(pipeline) == ["2024-01-04", "2024-01-05"]


def test_a_split_that_stored_prices_contain_is_kept_out(pipeline) -> None:
    pipeline.ingest(pipeline.deliver("AAPL.csv", YAHOO))
    pipeline.ingest(pipeline.deliver("actions.csv", action("2024-01-04"), source="actions"))
    assert pipeline.quarantined() == [("corporate_actions", "already_in_prices")]
    assert pipeline.rows("corporate_actions").is_empty()
    assert len(closes(pipeline)) == 4


def test_bars_and_their_split_in_one_order_leave_prices_as_traded_alone(pipeline) -> None:
    pipeline.ingest(pipeline.deliver("AAPL.csv", YAHOO), pipeline.deliver("actions.csv", action("2024-01-04"), source="actions"))
    assert pipeline.quarantined() == [("bars_daily", "already_adjusted")] * 2
    assert pipeline.rows("corporate_actions").height == 1


def test_an_action_after_the_files_arrival_or_a_dividend_is_not_in_split_adjusted_prices(pipeline) -> None:
    pipeline.ingest(pipeline.deliver("AAPL.csv", YAHOO))
    pipeline.ingest(
        pipeline.deliver("later.csv", action("2025-12-01"), source="actions"),
        pipeline.deliver("dividend.csv", action("2024-01-04", "dividend", "0.1"), source="actions"),
    )
    assert pipeline.quarantined() == []
    assert pipeline.rows("corporate_actions").height == 2


def test_prices_as_traded_take_every_action(pipeline) -> None:
    plain = "Date,Open,High,Low,Close,Volume\n2024-01-02,20,22,18,20,5\n2024-01-03,20,22,18,20,5\n2024-01-04,10,11,9,10,5\n"
    pipeline.ingest(pipeline.deliver("AAPL.csv", plain), pipeline.deliver("actions.csv", action("2024-01-04"), source="actions"))
    assert pipeline.quarantined() == []
    assert pipeline.rows("bars_daily").height == 3


def test_nvidias_file_of_yahoo_and_its_split_of_2007_do_not_meet(pipeline, shared: Path) -> None:
    """3 for 2 on 2007-09-11; the file closes at 33.86 on the day before and 34.58 on the day itself: it contains the split."""
    split = pipeline.deliver("nvda.csv", "symbol,ex_date,action,ratio\nNVDA,2007-09-11,split,1.5\n", source="actions")
    text = (shared / "data" / "backtrader" / "nvda-1999-2014.txt").read_text()
    before = sum("1999-01-01" <= line[:10] < "2007-09-11" for line in text.splitlines()[1:])
    pipeline.ingest(split)
    figures = pipeline.ingest(pipeline.deliver("NVDA.csv", text))["bars_daily"]
    held = pipeline.rows("quarantine").filter(rule="already_adjusted")
    assert held.height == before == 2171
    assert figures["read"] == before + figures["accepted"] + (figures["quarantined"] - before)
    assert pipeline.rows("bars_daily")["session_date"].min() == date(2007, 9, 11)
