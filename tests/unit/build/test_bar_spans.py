"""Where bars of an instrument begin and end, found from the ends of a table: what a look at every bar finds."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.build.bar_spans import BarSpans
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame
from tests.support.pipeline import Pipeline

#: Sessions of three years, so that a table by year has three partitions.
DAYS = [date(2022, 12, 28), date(2022, 12, 29), date(2023, 1, 3), date(2023, 6, 1), date(2024, 1, 2), date(2024, 1, 3)]
NAMES = ["A", "B", "C"]
HISTORIES = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(DAYS), min_size=1), min_size=1)


def bars(history: dict[str, set[date]], table: str) -> pl.DataFrame:
    rows = [{"instrument_id": name, "session_date": day, "session_year": day.year} for name in history for day in history[name]]
    empty = empty_frame(TABLES[table])
    return pl.concat([empty, pl.DataFrame(rows)], how="diagonal_relaxed").select(empty.columns)


class Stored:
    """A table of bars that counts the partitions read of it."""

    def __init__(self, rows: pl.DataFrame, partition: str) -> None:
        self.rows, self.partition, self.read_partitions = rows, partition, []  # type: ignore[var-annotated]

    def partition_rows(self, version: int) -> dict[Any, int]:
        return {
            **dict(self.rows.group_by(self.partition).len().iter_rows()),
            **({1999: 0} if self.partition == "session_year" else {}),
        }

    def read(self, version: int, partitions: list[Any], columns: list[str], *, verify: bool) -> pl.DataFrame:
        self.read_partitions += partitions
        return self.rows.filter(pl.col(self.partition).is_in(partitions)).select(columns)


@pytest.mark.parametrize(("table", "partition"), [("bars_daily", "session_year"), ("bars_1m", "session_date")])
@given(history=HISTORIES, since=st.dictionaries(st.sampled_from(NAMES), st.sampled_from([date.min, *DAYS])))
def test_spans_are_those_of_all_bars(table: str, partition: str, history: dict[str, set[date]], since: dict[str, date]) -> None:
    spans = BarSpans(Stored(bars(history, table), partition), 1)  # type: ignore[arg-type]
    every = {day for days in history.values() for day in days}
    assert spans.bounds() == (min(every), max(every))
    ends = sorted([(name, edge(days)) for name, days in history.items() for edge in (min, max)])
    assert sorted(spans.ends().iter_rows()) == ends
    assert sorted(spans.first(since).iter_rows()) == sorted((name, min(history[name])) for name in since if name in history)

    asked = pl.DataFrame(list(since.items()), schema={"instrument_id": pl.String, "not_before": pl.Date}, orient="row")
    found = dict(spans.last(asked).iter_rows())
    assert found.keys() <= since.keys()
    for name, not_before in since.items():
        last = max(history.get(name, {date.min}))
        if last >= not_before and name in history:
            assert found[name] == last
        else:
            assert found.get(name, last) == last


def test_a_night_opens_the_newest_partition_however_long_history_is() -> None:
    days = [date(2020, 1, 1) + timedelta(days=n) for n in range(1_000)]
    table = Stored(bars({name: set(days) for name in NAMES}, "bars_1m"), "session_date")
    asked = pl.DataFrame({"instrument_id": NAMES, "not_before": [days[-1]] * 3})
    assert BarSpans(table, 1).last(asked).height == 3  # type: ignore[arg-type]
    # One of them fell silent before what changed of it.
    table.rows = table.rows.filter((pl.col("instrument_id") != "A") | (pl.col("session_date") < days[500]))
    assert BarSpans(table, 1).last(asked).height == 2  # type: ignore[arg-type]
    assert table.read_partitions == [days[-1]] * 2
    assert BarSpans(table, 1).bounds() == (days[0], days[-1])  # type: ignore[arg-type]
    assert table.read_partitions[2:] == [days[0], days[-1]]


def test_without_a_table_there_is_no_span(pipeline: Pipeline) -> None:
    spans = BarSpans(pipeline.table("bars_1m"), None)
    assert (spans.bounds(), spans.ends().height, spans.first(["A"]).height) == (None, 0, 0)
