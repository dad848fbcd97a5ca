"""What changed between two versions, and exactly which windows a build then has to compute."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.build.changes import changed_rows
from pipelines.build.plan import BuildPlan, plan_build
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.location import Lake
from pipelines.storage.upsert import publish, replace_rows

D1, D2, D3 = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)
LAST_YEAR = date(2023, 12, 29)
LATER = datetime(2025, 2, 1, tzinfo=UTC)

Frame = Callable[..., pl.DataFrame]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def history(lake: Lake, daily: Frame, minutes: Frame) -> dict[str, int]:
    """A and B with daily bars over the turn of the year and minutes of two sessions; the versions that a build saw."""
    put(lake, "bars_daily", daily(*((s, d, 10.0) for s in "AB" for d in (LAST_YEAR, D1, D2))))
    put(lake, "bars_1m", minutes(*((s, minute(d, m), 10.0) for s in "AB" for d in (D1, D2) for m in (30, 31))))
    return plan_build(lake, "XNYS", None).inputs


def minute(day: date, past_two: int) -> datetime:
    return datetime(day.year, day.month, day.day, 14, past_two, tzinfo=UTC)


def put(lake: Lake, table: str, rows: pl.DataFrame) -> None:
    batches = rows["batch_id"].unique().to_list()
    publish(lake, "XNYS", TABLES[table], rows, priorities={}, batches=batches)


def action(kind: str, ex_date: date, *, ticker: str = "A", ratio: float | None = None, amount: float | None = None) -> pl.DataFrame:
    row = {
        "instrument_id": f"XNYS:{ticker}",
        "ex_date": ex_date,
        "action": kind,
        "exchange": "XNYS",
        "ratio": ratio,
        "amount": amount,
        "source": "csv",
        "known_at": LATER,
        "batch_id": "act",
        "row_number": 1,
    }
    schema = dict(empty_frame(TABLES["corporate_actions"]).schema)
    return pl.DataFrame([row], schema=schema).with_columns(received_at=pl.col("known_at"))


def windows(plan: BuildPlan) -> tuple[list[tuple[str, date, date]], list[tuple[str, date, date]]]:
    """(instrument, first session, last session) of both windows."""
    columns = ["instrument_id", "from_session", "to_session"]
    return plan.daily.select(columns).rows(), plan.minute.select(columns).rows()


def test_a_lake_that_was_never_built_is_built_whole(lake: Lake, history: dict[str, int]) -> None:
    plan = plan_build(lake, "XNYS", None)
    assert plan.full
    assert windows(plan) == (
        [("XNYS:A", LAST_YEAR, D2), ("XNYS:B", LAST_YEAR, D2)],
        [("XNYS:A", D1, D2), ("XNYS:B", D1, D2)],
    )


def test_nothing_new_is_an_empty_plan(lake: Lake, history: dict[str, int]) -> None:
    plan = plan_build(lake, "XNYS", history)
    assert plan.is_empty
    assert plan.describe() == "nothing is new"
    assert plan_build(lake, "XSES", None).is_empty


def test_nothing_new_is_found_without_reading_a_bar(lake: Lake, history: dict[str, int]) -> None:
    files = [path for table in ("bars_daily", "bars_1m") for path in Path(lake.table_uri("XNYS", table)).rglob("*.parquet")]
    assert files
    for path in files:
        path.unlink()
    assert plan_build(lake, "XNYS", history).is_empty
    with pytest.raises(DamagedTableError, match="is missing"):
        plan_build(lake, "XNYS", history, sessions=[D3])


def test_a_new_session_is_built_from_that_session_on(lake: Lake, daily: Frame, minutes: Frame, history: dict[str, int]) -> None:
    put(lake, "bars_daily", daily(("A", D3, 11.0), ("B", D3, 11.0), batch="b2"))
    put(lake, "bars_1m", minutes(("B", minute(D3, 30), 11.0), batch="b2"))
    plan = plan_build(lake, "XNYS", history)
    assert windows(plan) == ([("XNYS:A", D3, D3), ("XNYS:B", D3, D3)], [("XNYS:B", D3, D3)])
    assert plan.describe() == "daily: 2 instruments from 2024-01-04; one-minute: 1 instruments from 2024-01-04"
    assert not plan.full


def test_a_restatement_outdates_its_instrument_from_its_session_to_the_last_one(
    lake: Lake, daily: Frame, minutes: Frame, history: dict[str, int]
) -> None:
    put(lake, "bars_daily", daily(("A", LAST_YEAR, 9.0), batch="b2", received_at=LATER))
    put(lake, "bars_1m", minutes(("B", minute(D1, 31), 9.0), batch="b2", received_at=LATER))
    assert windows(plan_build(lake, "XNYS", history)) == ([("XNYS:A", LAST_YEAR, D2)], [("XNYS:B", D1, D2)])


def test_a_window_says_up_to_where_its_inputs_changed(lake: Lake, daily: Frame, history: dict[str, int]) -> None:
    put(lake, "bars_daily", daily(("A", LAST_YEAR, 9.0), ("A", D1, 9.0), ("B", D1, 9.0), batch="b2", received_at=LATER))
    plan = plan_build(lake, "XNYS", history)
    assert plan.daily.select("from_session", "changed_to", "to_session").rows() == [(LAST_YEAR, D1, D2), (D1, D1, D2)]


def test_the_same_rows_from_another_file_change_nothing(lake: Lake, daily: Frame, history: dict[str, int]) -> None:
    put(lake, "bars_daily", daily(("A", D1, 10.0), batch="b2"))
    assert plan_build(lake, "XNYS", history).is_empty


def test_a_removed_row_outdates_its_instrument_from_its_session(lake: Lake, daily: Frame, history: dict[str, int]) -> None:
    gone = (pl.col("symbol") == "A") & (pl.col("session_date") == D1)
    schema = TABLES["bars_daily"]
    replace_rows(lake, "XNYS", schema, daily(), lambda stored: stored.select(gone).to_series(), [2024], {})
    assert windows(plan_build(lake, "XNYS", history)) == ([("XNYS:A", D1, D2)], [])


def test_a_late_split_outdates_daily_and_minutes_of_its_instrument_from_the_ex_date(lake: Lake, history: dict[str, int]) -> None:
    put(lake, "corporate_actions", action("split", D2, ratio=2.0))
    assert windows(plan_build(lake, "XNYS", history)) == ([("XNYS:A", D2, D2)], [("XNYS:A", D2, D2)])


def test_a_split_of_the_future_outdates_nothing_yet(lake: Lake, history: dict[str, int]) -> None:
    put(lake, "corporate_actions", action("split", date(2024, 6, 3), ratio=2.0))
    assert plan_build(lake, "XNYS", history).is_empty


def test_an_action_of_an_instrument_without_bars_outdates_nothing(lake: Lake, history: dict[str, int]) -> None:
    put(lake, "corporate_actions", action("split", D1, ticker="Z", ratio=2.0))
    assert plan_build(lake, "XNYS", history).is_empty


def test_a_requested_session_is_built_again_for_who_traded_in_it(lake: Lake, history: dict[str, int]) -> None:
    plan = plan_build(lake, "XNYS", history, sessions=[D2])
    assert windows(plan) == ([("XNYS:A", D2, D2), ("XNYS:B", D2, D2)],) * 2


def test_the_plan_s_fingerprint_follows_the_inputs(lake: Lake, daily: Frame, history: dict[str, int]) -> None:
    before = plan_build(lake, "XNYS", history).fingerprint()
    assert plan_build(lake, "XNYS", None).fingerprint() == before
    put(lake, "bars_daily", daily(("A", D3, 11.0), batch="b2"))
    assert plan_build(lake, "XNYS", history).fingerprint() != before


def test_only_partitions_whose_files_differ_are_read(
    lake: Lake, daily: Frame, history: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake, "bars_daily", daily(("A", D3, 11.0), batch="b2"))
    table = LakeTable(lake.table_uri("XNYS", "bars_daily"), TABLES["bars_daily"])
    asked: list[object] = []
    read = LakeTable.read

    def spy(self: LakeTable, version: int, partitions: list[int], columns: list[str]) -> pl.DataFrame:
        asked.append(partitions)
        return read(self, version, partitions, columns)

    monkeypatch.setattr(LakeTable, "read", spy)
    changed = changed_rows(table, history["bars_daily"], history["bars_daily"] + 1, ["instrument_id"])
    assert changed.select("instrument_id", "session_date").rows() == [("XNYS:A", D3)]
    assert asked == [[2024], [2024]]


def test_the_rows_of_a_table_are_counted_as_it_stands(lake: Lake, daily: Frame, history: dict[str, int]) -> None:
    """By the log alone: not the rows of files that a restatement replaced, and none where there is no table."""
    put(lake, "bars_daily", daily(("A", D3, 11.0), batch="b2"))
    table = LakeTable(lake.table_uri("XNYS", "bars_daily"), TABLES["bars_daily"])
    assert table.row_count() == table.read().height > 0
    assert LakeTable(lake.table_uri("XNYS", "bars_other_series"), TABLES["bars_other_series"]).row_count() == 0


def test_a_restatement_there_and_back_within_two_versions_is_seen_as_a_change_of_batch(
    lake: Lake, daily: Frame, history: dict[str, int]
) -> None:
    """Its superseded rows and known_at did change, so the instrument is built again; nothing may be missed for speed."""
    put(lake, "bars_daily", daily(("A", D2, 11.0), batch="b2", received_at=LATER))
    put(lake, "bars_daily", daily(("A", D2, 10.0), batch="b3", received_at=LATER + timedelta(days=1)))
    assert windows(plan_build(lake, "XNYS", history))[0] == [("XNYS:A", D2, D2)]


def test_figures_under_a_ticker_that_was_given_up_go_when_the_instrument_is_built_again() -> None:
    """OLD was missed from the day on which NEW appeared; both are one share since a rename that was learned late."""
    from pipelines.build.replacement_windows import replace_quality_metrics

    figures = TABLES["data_quality_metrics"]
    built = pl.DataFrame({"instrument_id": ["XNYS:OLD"], "from_session": [D2], "to_session": [D3], "changed_to": [D3]})
    plan = BuildPlan("XNYS", {}, daily=built, minute=built.clear(), full=False)

    def rows(*told: tuple[str, str, date]) -> pl.DataFrame:
        given = [
            {"table_name": "bars_daily", "exchange": "XNYS", "symbol": s, "instrument_id": f"XNYS:{i}", "date": d}
            for s, i, d in told
        ]
        return pl.DataFrame(given).select(*figures.key, "instrument_id")

    made = rows(("NEW", "OLD", D2), ("NEW", "OLD", D3))
    stored = rows(
        ("OLD", "OLD", D1), ("OLD", "OLD", D2), ("OLD", "OLD", D3), ("NEW", "NEW", D2), ("NEW", "NEW", D3), ("SPY", "SPY", D2)
    )

    replaced = replace_quality_metrics(plan, figures, made)

    assert replaced.outdated(stored).to_list() == [False, True, True, True, True, False]
