"""Corporate actions on their way into the lake: terms that a kind needs, successors, and renames as one history."""

from datetime import date

import polars as pl
import pytest


def test_rows_without_their_terms_are_quarantined_by_name_and_the_others_published(pipeline) -> None:
    text = """symbol,ex_date,action,ratio,amount
A,2024-01-02,split,,
A,2024-01-03,split,2,
A,2024-01-04,dividend,,
A,2024-01-05,dividend,,0.5
A,2024-01-08,demerger,,
A,2024-01-09,delisting,,
A,2024-01-10,bonus,-2,
A,2024-01-11,spin,,
A,never,split,2,
"""
    figures = pipeline.ingest(pipeline.deliver("actions.csv", text, source="actions"))["corporate_actions"]
    assert (figures["read"], figures["accepted"], figures["quarantined"]) == (9, 4, 5)
    assert pipeline.rows("corporate_actions")["action"].to_list() == ["split", "dividend", "demerger", "delisting"]
    held = pipeline.rows("quarantine").sort("row_number").select("row_number", "rule").rows()
    assert held == [
        (2, "missing_ratio"),
        (4, "missing_amount"),
        (8, "non_positive_ratio"),
        (9, "unreadable_field"),
        (10, "unreadable_field"),
    ]


def test_the_same_actions_from_a_factor_file_and_a_table_are_unchanged(pipeline) -> None:
    text = "symbol,ex_date,action,ratio\nA,2024-01-03,split,2\n"
    pipeline.ingest(pipeline.deliver("actions.csv", text, source="actions"))
    again = pipeline.ingest(pipeline.deliver("actions_again.csv", text + "A,2024-02-01,split,3:1\n", source="actions"))
    assert (again["corporate_actions"]["unchanged"], again["corporate_actions"]["accepted"]) == (1, 1)


def test_a_merger_and_a_demerger_name_the_instrument_that_they_lead_to(pipeline) -> None:
    text = "symbol,ex_date,action,successor\nHDFC,2023-07-13,merger,HDFCBANK\nR,2023-07-20,demerger,JIOFIN\n"
    pipeline.ingest(pipeline.deliver("actions.csv", text, source="actions"))
    assert dict(pipeline.rows("corporate_actions").select("instrument_id", "successor_id").rows()) == {
        "XNYS:HDFC": "XNYS:HDFCBANK",
        "XNYS:R": "XNYS:JIOFIN",
    }


@pytest.mark.slow
@pytest.mark.measured
def test_renames_in_two_files_leave_one_history_under_the_first_identity(pipeline, bars_csv) -> None:
    first = [("OLD", "2024-01-02", 10, 11, 9, 10, 1)]
    pipeline.ingest(pipeline.deliver("bars1.csv", bars_csv(first)))
    renames = "symbol,ex_date,action,successor\n{},{},rename,{}\n"
    pipeline.ingest(pipeline.deliver("actions1.csv", renames.format("OLD", "2024-01-03", "MID"), source="actions"))
    pipeline.ingest(pipeline.deliver("actions2.csv", renames.format("MID", "2024-01-05", "NEW"), source="actions"))
    later = [
        ("MID", "2024-01-03", 10, 11, 9, 10, 1),
        ("NEW", "2024-01-05", 10, 11, 9, 10, 1),
        # The first ticker is free again and somebody else's.
        ("MID", "2024-01-05", 70, 71, 69, 70, 1),
    ]
    pipeline.ingest(pipeline.deliver("bars2.csv", bars_csv(later)))
    bars = pipeline.rows("bars_daily").sort("session_date", "symbol").select("symbol", "instrument_id").rows()
    assert bars[0] == ("OLD", "XNYS:OLD")
    assert bars[1] == ("MID", "XNYS:OLD")
    assert ("NEW", "XNYS:OLD") in bars
    aliases = pipeline.rows("instrument_aliases").filter(pl.col("instrument_id") == "XNYS:OLD").sort("valid_from")
    assert aliases.select("value", "valid_from", "valid_to").rows() == [
        ("OLD", date(2024, 1, 2), date(2024, 1, 2)),
        ("MID", date(2024, 1, 3), date(2024, 1, 4)),
        ("NEW", date(2024, 1, 5), None),
    ]
    reused = [row for row in bars if row[0] == "MID"][1]
    assert reused[1] != "XNYS:OLD"
