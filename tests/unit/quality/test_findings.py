"""Findings summed up as a person would say them."""

from datetime import date

import polars as pl
import pytest

from pipelines.market.tables import TABLES
from pipelines.quality.findings import flagged_prices, reconciled_minutes
from pipelines.storage.delta import empty_frame

DAY = date(2024, 1, 2)


def rows(table: str, *given: dict[str, object]) -> pl.DataFrame:
    empty = empty_frame(TABLES[table])
    return pl.DataFrame([{**dict.fromkeys(empty.columns), **row} for row in given], schema=empty.schema) if given else empty


def test_flags_are_counted_by_kind() -> None:
    found = rows(
        "price_flags",
        {"instrument_id": "A", "symbol": "A", "flag": "unrecorded_split", "session_date": DAY},
        {"instrument_id": "B", "symbol": "B", "flag": "unrecorded_split", "session_date": DAY},
        {"instrument_id": "C", "symbol": "C", "flag": "frozen_price", "session_date": DAY},
    )
    finding = flagged_prices(found)
    assert (finding.holds, finding.summary) == (False, "1 frozen_price, 2 unrecorded_split")
    assert finding.figures == {"flags": 3, "frozen_price": 1, "unrecorded_split": 2}
    assert finding.rows["symbol"].to_list() == ["A", "B", "C"]


def test_the_accuracy_is_the_share_of_days_that_agree() -> None:
    days = rows(
        "minute_reconciliation",
        {"symbol": "A", "agrees": True, "close_error_bp": -1.0, "volume_ratio": 0.995},
        {"symbol": "B", "agrees": True, "close_error_bp": 3.0, "volume_ratio": 0.997},
        {"symbol": "C", "agrees": True, "close_error_bp": None, "volume_ratio": None},
        {"symbol": "D", "agrees": False, "close_error_bp": -8.0, "volume_ratio": 0.9},
    )
    finding = reconciled_minutes(days)
    assert (finding.holds, finding.summary) == (False, "3 of 4 days agree (75.00%)")
    assert finding.figures["accuracy"] == 0.75
    assert (finding.figures["median_close_error_bp"], finding.figures["largest_close_error_bp"]) == (3.0, 8.0)
    assert finding.figures["median_volume_ratio"] == pytest.approx(0.995)
    assert finding.rows["symbol"].to_list() == ["D"]


def test_nothing_to_look_at_holds() -> None:
    assert flagged_prices(rows("price_flags")).holds
    nothing = reconciled_minutes(rows("minute_reconciliation"))
    assert (nothing.holds, nothing.summary) == (True, "no day has both minutes and a daily bar")
