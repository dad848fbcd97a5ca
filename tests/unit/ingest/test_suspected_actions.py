"""Suspected actions in words, with commands that decide them."""

from datetime import date

import polars as pl

from pipelines.ingest.suspected_actions import describe_suspects

RELIANCE = {
    "symbol": "M&M",
    "instrument_id": "XNSE:M&M",
    "session_date": date(2017, 12, 21),
    "flag": "unrecorded_split",
    "since": date(2017, 12, 20),
    "price_ratio": 0.4814,
    "split_ratio": 2.0,
}


def test_a_suspect_is_said_with_the_commands_that_decide_it(road) -> None:
    lines = describe_suspects("XNSE", pl.DataFrame([RELIANCE]), withheld=True)
    assert lines[0] == (
        "suspected action: M&M on 2017-12-21: close at 0.4814 of that of 2017-12-20, "
        "looks like a split or bonus, 2 new shares for 1; none is recorded"
    )
    assert lines[1].endswith(
        "printf 'symbol,ex_date,action,ratio\\nM&M,2017-12-21,split,2\\n' > action-MandM-2017-12-21.csv"
        " && marketlake ingest action-MandM-2017-12-21.csv --source actions --exchange XNSE"
    )
    assert "withheld until then" in lines[1]
    assert "M&M,2017-12-21,true_move,\\n'" in lines[2]


def test_what_the_commands_write_is_read_as_the_action(road, bars_csv) -> None:
    for line in describe_suspects("XNYS", pl.DataFrame([RELIANCE]), withheld=False)[1:]:
        text = line.split("printf '")[1].split("'")[0].replace("\\n", "\n")
        road.ingest(road.deliver("action-x.csv", text, source="actions"))
    rows = road.rows("corporate_actions").sort("action").select("instrument_id", "ex_date", "action", "ratio").rows()
    day = RELIANCE["session_date"]
    assert rows == [("XNYS:M&M", day, "split", 2.0), ("XNYS:M&M", day, "true_move", None)]
    assert road.quarantined() == []


def test_many_are_cut_short_and_none_says_nothing() -> None:
    many = pl.DataFrame([RELIANCE] * 14)
    assert sum(line.startswith("suspected") for line in describe_suspects("XNSE", many, withheld=True)) == 10
    assert "and 4 more" in describe_suspects("XNSE", many, withheld=True)[10]
    assert describe_suspects("XNSE", many.clear(), withheld=True) == []
