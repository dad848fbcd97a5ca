"""The source `actions`: both layouts, every kind, and what each bad row is told."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.market.tables.reference import ACTIONS
from pipelines.sources.protocol import ParseOptions, RawFile, SourceError
from pipelines.sources.registry import source


def parse(tmp_path: Path, content: str | bytes, name: str = "actions.csv", **options: object) -> dict[str, pl.DataFrame]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    tables = source("actions").parse(RawFile(path, name, ""), ParseOptions("XNSE", "Asia/Kolkata", **options))  # type: ignore[arg-type]
    return {table.table: table.frame for table in tables}


def one_problem(tmp_path: Path, line: str) -> str:
    header = "symbol,ex_date,action,ratio,amount,successor"
    (problem,) = parse(tmp_path, f"{header}\n{line}\n")["corporate_actions"]["parse_problem"]
    return str(problem)


def test_a_table_of_every_kind_is_read_with_its_terms(tmp_path: Path) -> None:
    text = """Symbol;Ex-Date;Action;Ratio;Amount;Successor;Announced
aapl;2014-06-09;split;7:1;;;2014-04-23
RELIANCE;07-Sep-2017;Bonus;2;;;
RELIANCE;20-Jul-2023;demerger;0.9078;;JIOFIN;
TATAMOTORS;14-Oct-2025;demerger;;;;
ITC;20240604;dividend;;7.5;;
X;2024-01-02;rights;0.95;;;
X;2024-01-03;capital-reduction;0.1;;;
HDFC;2023-07-13;merger;1.68;;HDFCBANK;
DHFL;2021-06-14;delisting;;;;
ZOMATO;2025-04-09;rename;;;eternal;
AAPL;2000-09-29;true_move;;;;
"""
    tables = parse(tmp_path, text)
    actions = tables["corporate_actions"]
    assert set(actions["action"]) == set(ACTIONS)
    assert actions["parse_problem"].null_count() == 11
    assert actions.select("symbol", "ex_date", "action", "ratio", "announced").row(0) == (
        "AAPL",
        date(2014, 6, 9),
        "split",
        7.0,
        date(2014, 4, 23),
    )
    assert actions.select("ratio", "amount").rows()[1:5] == [(2.0, None), (0.9078, None), (None, None), (None, 7.5)]
    assert actions["successor"].drop_nulls().to_list() == ["JIOFIN", "HDFCBANK", "ETERNAL"]
    history = tables["symbol_history"].select("renamed_from", "symbol", "valid_from", "permanent").rows()
    assert history == [("ZOMATO", "ETERNAL", date(2025, 4, 9), None)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("A,2024-13-02,split,2,,", "ex_date: '2024-13-02' is not a date"),
        ("A,,split,2,,", "ex_date: empty"),
        (",2024-01-02,split,2,,", "symbol: empty"),
        ("A,2024-01-02,splitt,2,,", "action: 'splitt' is none of"),
        ("A,2024-01-02,splitt,2,,", "did you mean split?"),
        ("A,2024-01-02,,2,,", "action: empty"),
        ("A,2024-01-02,bonus,1:1,,", "ratio: '1:1' of a bonus can be read two ways"),
        ("A,2024-01-02,split,two,,", "ratio: 'two' is not a number"),
        ("A,2024-01-02,dividend,,much,", "amount: 'much' is not a number"),
        ("A,2024-01-02,rename,,,", "successor: empty"),
        ("A,2024-01-02,split", "line: 3 fields where 6 are expected"),
    ],
)
def test_a_bad_row_says_what_is_wrong_with_it(tmp_path: Path, line: str, problem: str) -> None:
    # A sound row beside it, so that the file has a readable date.
    assert problem in one_problem(tmp_path, line)


def test_an_adjustment_file_of_one_symbol_is_read_without_its_trailer(tmp_path: Path) -> None:
    text = (
        "Date,Dividends\nDIVIDEND, 20140403,0.100000\nSPLIT, 20140703,2:1\nSTARTDATE, 20140102\nENDDATE, 20141231\nTOTALSIZE, 2\n"
    )
    frame = parse(tmp_path, gzip.compress(text.encode()), "AAPL.adjustments.gz")["corporate_actions"]
    assert frame.select("symbol", "ex_date", "action", "ratio", "amount").rows() == [
        ("AAPL", date(2014, 4, 3), "dividend", None, 0.1),
        ("AAPL", date(2014, 7, 3), "split", 2.0, None),
    ]
    assert frame["parse_problem"].null_count() == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("symbol,ex_date,action\n", "only a header line"),
        ("symbol,when,what\nA,2024-01-02,split\n", "no column for ex_date, action"),
        ("date,ex_date,action\n2024-01-02,2024-01-02,split\n", "both name the ex_date"),
        ("symbol,ex_date,action,ratio\nA,2024-01-02,split,2\nB,2024-0", "stops in the middle of the row"),
        ("symbol,ex_date,action,ratio\nA,03/04/2024,split,2\n", "date_order"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as refused:
        parse(tmp_path, content)
    assert "actions.csv" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "claimed"),
    [("actions.csv", True), ("x/corporate_actions_2024.csv.gz", True), ("AAPL.adjustments.gz", True), ("AAPL.csv", False)],
)
def test_files_of_a_folder_are_claimed_by_their_names(name: str, claimed: bool) -> None:
    assert source("actions").claims(name) is claimed


def test_what_a_vendor_adds_for_the_exchange_is_no_part_of_a_ticker_here_either(tmp_path: Path) -> None:
    head = "symbol,ex_date,action,ratio,amount,successor\n"
    lines = "RELIANCE.NS,2017-09-07,split,2,,\nNSE:HDFC-EQ,2023-07-13,merger,1.68,,HDFCBANK.NS\nOLD.NS,2024-01-02,rename,,,NEW.NS\n"
    tables = parse(tmp_path, head + lines)
    assert tables["corporate_actions"].select("symbol", "successor").rows() == [
        ("RELIANCE", None),
        ("HDFC", "HDFCBANK"),
        ("OLD", "NEW"),
    ]
    assert tables["symbol_history"].select("renamed_from", "symbol").rows() == [("OLD", "NEW")]
    file = parse(tmp_path, "Date,Dividends\nSPLIT, 20170907,2:1\n", name="reliance.ns.adjustments")
    assert file["corporate_actions"]["symbol"].to_list() == ["RELIANCE"]
    assert one_problem(tmp_path, "AAPL.US,2014-06-09,split,7,,") == "symbol: 'AAPL.US' is of XNYS, not of XNSE"
