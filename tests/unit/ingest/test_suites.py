"""Every expectation of the bars' suites can fail, and then does what its severity says."""

import json
from datetime import date, timedelta

import polars as pl
import pytest

from pipelines.ingest.suites import run_suite
from pipelines.package_data import shipped

FIRST = date(2024, 1, 2)
SOUND = {
    "instrument_id": "A",
    "rows": 1,
    "distinct_rows": 1,
    "lowest_low": 99.0,
    "highest_high": 101.0,
    "widest_bar_ratio": 1.02,
    "volume": 1000,
    "foreign_rows": 0,
    "expected_rows": 1,
    "range_ratio": 1.02,
    "completeness": 1.0,
}
ADDED = {
    "bars_daily": {"market_coverage": 1.0, "market_step": 1.0, "share_off_scale": 0.0},
    "bars_1m": {"high_to_day": 1.0, "low_to_day": 1.0, "typical_to_day": 1.0, "market_step": 1.0, "share_off_scale": 0.0},
    "bars_1m_extended": {},
    "bars_other_series": {"series": "BL"},
}
#: What breaks an expectation, by its column and the side it bounds.
BROKEN = {"expected_rows": None, "foreign_rows": 1}


def breaking(expectation: dict[str, object]) -> dict[str, object]:
    kwargs = expectation["kwargs"]
    assert isinstance(kwargs, dict)
    if expectation["type"] == "expect_column_pair_values_to_be_equal":
        return {kwargs["column_A"]: 2}
    column = kwargs["column"]
    if column in BROKEN:
        return {column: BROKEN[column]}
    beyond = kwargs["max_value"] * 1.01 if "max_value" in kwargs else kwargs["min_value"] * 0.99
    return {column: int(beyond) if isinstance(SOUND.get(column), int) else beyond}


@pytest.mark.parametrize("table", sorted(ADDED))
def test_each_expectation_fails_on_the_row_that_breaks_it_and_not_on_a_sound_one(table: str) -> None:
    suite = json.loads((shipped("expectations") / f"{table}.json").read_text())["expectations"]
    sound = {**SOUND, **ADDED[table]}
    planted = {e["meta"]["name"]: breaking(e) for e in suite if e["type"] != "expect_table_columns_to_match_set"}
    rows = [{"session": FIRST, **sound}]
    days = {}
    for n, (name, change) in enumerate(planted.items(), start=1):
        days[name] = FIRST + timedelta(days=n)
        rows.append({"session": days[name], **sound, **change})
    judged = {j.name: j for j in run_suite(table, pl.DataFrame(rows, infer_schema_length=None))}

    assert judged["profile_has_its_columns"].success
    for name, day in days.items():
        assert not judged[name].success, name
        assert day in judged[name].sessions
        assert FIRST not in judged[name].sessions
    severities = {e["meta"]["name"]: e["severity"] for e in suite}
    assert {name: judged[name].severity for name in judged} == severities
    if table in {"bars_daily", "bars_1m"}:
        assert set(severities.values()) == {"critical", "warning"}
