"""Every row that was read is accounted for: read = accepted + unchanged + restated + duplicates + quarantined."""

import itertools
from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipelines.ingest.suites import ExpectationResult, Suite

DAYS = [date(2024, 1, d) for d in (2, 3, 4)]

#: What a random row may be: fine (in one of two versions of its price), or broken in one of three ways.
_kinds = st.sampled_from(["fine", "fine", "fine", "other price", "negative volume", "no close", "holiday"])
_files = st.lists(
    st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(DAYS), _kinds), min_size=1, max_size=12), min_size=1, max_size=3
)


def _row(symbol: str, day: date, kind: str) -> tuple[object, ...]:
    close = {"other price": 10.5, "no close": ""}.get(kind, 10)
    return symbol, date(2024, 1, 15) if kind == "holiday" else day, 10, 11, 9, close, -1 if kind == "negative volume" else 100


@pytest.fixture
def refusing() -> set[date]:
    """The sessions of daily bars that the gate shall refuse."""
    return set()


@pytest.fixture
def suite(refusing: set[date]) -> Suite:
    """Refuses them. The shipped suites would cost a second an example."""

    def judge(table: str, figures: pl.DataFrame) -> tuple[ExpectationResult, ...]:
        refused = tuple(sorted(refusing.intersection(figures["session"]))) if table == "bars_daily" else ()
        return (ExpectationResult("range_is_possible", "planted", "critical", not refused, len(refused), refused, "planted"),)

    return judge


@pytest.mark.slow
@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=_files, refused=st.sets(st.sampled_from(DAYS), max_size=1))
def test_no_row_is_lost_and_none_is_counted_twice(pipeline, tmp_path, refusing, bars_csv, files, refused) -> None:
    refusing.clear()
    refusing.update(refused)
    empty_home = next(tmp_path / str(n) for n in itertools.count() if not (tmp_path / str(n)).exists())
    pipeline = replace(pipeline, settings=pipeline.settings.model_copy(update={"home": empty_home}))
    accepted = held = 0
    seen: set[str] = set()
    for rows in files:
        text = bars_csv([_row(*row) for row in rows])
        figures = pipeline.ingest(pipeline.deliver("bars.csv", text))["bars_daily"]

        assert figures["read"] == len(rows)
        assert figures["read"] == sum(figures[f] for f in ("accepted", "unchanged", "restated", "duplicates", "quarantined"))
        accepted += figures["accepted"]
        held += figures["quarantined"] if text not in seen else 0
        seen.add(text)
        assert pipeline.rows("bars_daily").height == accepted
        assert pipeline.rows("quarantine").filter(pl.col("table_name") == "bars_daily").height == held
    lake = pipeline.rows("bars_daily")
    assert not lake.select("instrument_id", "session_date").is_duplicated().any()
    assert set(lake["session_date"]) <= set(DAYS) - refused
    assert set(lake["close"]) <= {10.0, 10.5}
    assert set(lake["volume"]) <= {100}


def test_the_same_file_again_is_unchanged_row_for_row(pipeline, bars_csv, refusing) -> None:
    rows = [_row("A", DAYS[0], "fine"), _row("B", DAYS[0], "fine"), _row("B", DAYS[0], "fine"), _row("C", DAYS[0], "no close")]
    delivery = pipeline.deliver("bars.csv", bars_csv(rows))
    first, again = pipeline.ingest(delivery)["bars_daily"], pipeline.ingest(delivery)["bars_daily"]
    assert first == {"read": 4, "accepted": 2, "unchanged": 0, "restated": 0, "duplicates": 1, "quarantined": 1}
    assert again == {"read": 4, "accepted": 0, "unchanged": 2, "restated": 0, "duplicates": 1, "quarantined": 1}
    assert pipeline.rows("quarantine").height == 1


def test_a_correction_is_a_restatement_known_since_it_arrived(pipeline, bars_csv, refusing) -> None:
    pipeline.ingest(pipeline.deliver("bars.csv", bars_csv([_row("A", DAYS[0], "fine")])))
    correction = pipeline.deliver("bars.csv", bars_csv([_row("A", DAYS[0], "other price")]))
    assert pipeline.ingest(correction)["bars_daily"]["restated"] == 1
    assert pipeline.rows("bars_daily").select("close", "known_at").row(0) == (10.5, correction.received_at)
    assert pipeline.rows("bars_daily_superseded").select("close", "superseded_at").row(0) == (10.0, correction.received_at)
