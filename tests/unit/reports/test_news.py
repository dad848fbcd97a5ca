"""What a release brings: new sessions, signals and findings, and nothing of what the release before had."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from pipelines.market.tables import TABLES
from pipelines.reports.news import News, news_of
from pipelines.storage.delta import Change, empty_frame
from pipelines.storage.releases import Release, record_release

MONDAY, TUESDAY, WEDNESDAY = date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6)


class Published:
    """A lake whose tables are written past the gate, and its releases."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.versions: dict[str, int] = {}

    def put(self, name: str, *rows: dict[str, Any]) -> None:
        """The table's rows; columns that do not matter are NULL."""
        schema = TABLES[name]
        full = pl.concat([empty_frame(schema), pl.DataFrame(rows, infer_schema_length=None)], how="diagonal_relaxed")
        filled = full.cast(dict(empty_frame(schema).schema)).with_columns(
            pl.col(c.name).fill_null(_filler(empty_frame(schema).schema[c.name])) for c in schema.columns if not c.nullable
        )
        parts = filled[schema.partition_by].unique().to_list() if schema.partition_by else None
        version = self.pipeline.table(name).update(lambda _: Change(filled, parts), {"why": "planted"})
        self.versions[name] = version

    def release(self) -> Release:
        done, _ = record_release(self.pipeline.lake, "XNYS", self.versions, code_version="1", config={}, sessions=[])
        return done

    def news(self, release: Release) -> News:
        return news_of(self.pipeline.lake, "XNYS", release, is_new=True)


def _filler(kind: Any) -> Any:
    if kind == pl.String:
        return ""
    if kind == pl.Boolean:
        return False
    if kind.is_numeric():
        return 0
    return pl.lit(0).cast(pl.Int64).cast(kind) if kind.is_temporal() else None


def bar(day: date) -> dict[str, Any]:
    return {"exchange": "XNYS", "instrument_id": "XNYS:AAPL", "session_date": day, "session_year": day.year}


def signal(name: str, side: str) -> dict[str, Any]:
    return {"signal_id": name, "signal_type": side, "session_date": TUESDAY, "session_year": 2024}


@pytest.fixture
def published(pipeline: Any) -> Published:
    return Published(pipeline)


def test_a_first_release_brings_everything(published: Published) -> None:
    published.put("bars_daily", bar(MONDAY), bar(TUESDAY))
    published.put("scanner_signals", signal("a", "BUY"))
    news = published.news(published.release())
    assert (news.sessions, news.signals, news.since) == ((MONDAY, TUESDAY), {"BUY": 1}, None)
    assert news.describe() == f"new in {news.release}: 2 sessions (2024-03-04, 2024-03-05), 1 signal (1 BUY), no finding"


def test_a_further_session_brings_its_own_alone(published: Published) -> None:
    published.put("bars_daily", bar(MONDAY), bar(TUESDAY))
    published.put("scanner_signals", signal("a", "BUY"), signal("b", "SELL"))
    published.put("price_flags", {**bar(MONDAY), "flag": "price_spike"})
    first = published.release()

    published.put("bars_daily", bar(MONDAY), bar(TUESDAY), bar(WEDNESDAY))
    published.put("scanner_signals", signal("b", "SELL"), signal("c", "SELL"), signal("d", "BUY"))
    published.put("price_flags", {**bar(MONDAY), "flag": "price_spike"}, {**bar(WEDNESDAY), "flag": "wide_range"})
    published.put("minute_reconciliation", {**bar(WEDNESDAY), "agrees": False}, {**bar(TUESDAY), "agrees": True})
    news = published.news(published.release())

    assert news.describe() == (
        f"new in {news.release} since {first.release_id}: 1 session (2024-03-06), 2 signals (1 BUY, 1 SELL), "
        "2 findings (1 wide_range, 1 minutes_disagree), 1 withdrawn"
    )
    assert news.as_json() == {
        "since": first.release_id,
        "sessions": 1,
        "first_session": "2024-03-06",
        "last_session": "2024-03-06",
        "signals": {"BUY": 1, "SELL": 1},
        "signals_withdrawn": 1,
        "findings": {"wide_range": 1, "minutes_disagree": 1},
    }


def test_minutes_of_a_session_whose_daily_bar_was_there_make_no_new_session(published: Published) -> None:
    published.put("bars_daily", bar(MONDAY))
    published.release()
    published.put("bars_1m", {**bar(MONDAY), "ts": None})
    assert published.news(published.release()).sessions == ()


def test_many_sessions_are_a_span(published: Published) -> None:
    published.put("bars_daily", *(bar(date(2024, 3, day)) for day in (4, 5, 6, 7, 8)))
    assert "5 sessions (2024-03-04 to 2024-03-08)" in published.news(published.release()).describe()


def test_a_release_that_stood_before_brings_nothing(published: Published) -> None:
    published.put("bars_daily", bar(MONDAY))
    release = published.release()
    news = news_of(published.pipeline.lake, "XNYS", release, is_new=False)
    assert news.describe() == f"nothing is new: {release.release_id} stays published"
    assert news.as_json()["sessions"] == 0
