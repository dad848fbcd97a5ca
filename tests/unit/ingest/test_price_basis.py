"""The basis of a delivery's prices is kept in the lake."""

from __future__ import annotations


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
