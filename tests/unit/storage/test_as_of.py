"""What was known at a moment: old values before a correction came, no value before a bar came, whatever is stored now."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.as_of import ANSWERS, Answer, refusal_in, refuse_stored, relations, show_as_of
from pipelines.storage.catalogue import write_catalogue
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.query import NotAQueryError, open_catalogue
from pipelines.storage.releases import record_release, releases
from pipelines.storage.upsert import publish
from tests.support.indicator_tables import INDICATOR_TABLES

Frame = Callable[..., pl.DataFrame]
D1, D2 = date(2024, 1, 2), date(2024, 1, 3)
SCHEMAS = {name: schema for name, schema in {**TABLES, **INDICATOR_TABLES}.items() if name != "releases"}
ALL = {**SCHEMAS, "releases": TABLES["releases"]}
CLOSED = datetime(2024, 1, 3, 21, 0, tzinfo=UTC)
CORRECTED = datetime(2024, 4, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def catalogue(tmp_path: Path, daily: Frame) -> tuple[Lake, Path]:
    """Two bars; the first was corrected 90 days later, from 10 to 9."""
    lake = Lake(str(tmp_path / "lake"))
    bars = TABLES["bars_daily"]
    first = daily(("A", D1, 10.0), ("A", D2, 11.0), batch="b1", received_at=CLOSED)
    publish(lake, "XNYS", bars, first, priorities={}, batches=["b1"])
    corrected = daily(("A", D1, 9.0), batch="b2", received_at=CORRECTED)
    publish(lake, "XNYS", bars, corrected, priorities={}, batches=["b2"])
    tables = {name: LakeTable(lake.table_uri("XNYS", name), TABLES[name]) for name in ("bars_daily", "bars_daily_superseded")}
    versions = {name: version for name, table in tables.items() if (version := table.version()) is not None}
    release, _ = record_release(lake, "XNYS", versions, code_version="1", config={}, sessions=[])
    return lake, write_catalogue(lake, release, SCHEMAS, releases(lake), tmp_path / "state")


def closes(catalogue: tuple[Lake, Path], moment: datetime | None, relation: str = "bars_daily") -> list[tuple[date, float]]:
    lake, path = catalogue
    with open_catalogue(path, lake) as connection:
        if moment is not None:
            show_as_of(connection, moment, ALL)
        return connection.sql(f"SELECT session_date, close FROM {relation} ORDER BY session_date").fetchall()


def test_today_shows_the_correction(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, None) == [(D1, 9.0), (D2, 11.0)]


def test_before_the_correction_the_old_value_stands(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, datetime(2024, 4, 2, 11, 59, tzinfo=UTC)) == [(D1, 10.0), (D2, 11.0)]


def test_from_the_correction_on_the_new_value_stands(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, CORRECTED) == [(D1, 9.0), (D2, 11.0)]


def test_a_bar_is_not_known_before_it_closed(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, datetime(2024, 1, 3, 20, 59, tzinfo=UTC)) == [(D1, 10.0)]
    assert closes(catalogue, datetime(2024, 1, 2, 12, 0, tzinfo=UTC)) == []


def test_adjusted_bars_follow(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, datetime(2024, 4, 1, tzinfo=UTC), "bars_daily_adjusted") == [(D1, 10.0), (D2, 11.0)]


def test_releases_of_later_are_not_there_yet(catalogue: tuple[Lake, Path]) -> None:
    lake, path = catalogue
    with open_catalogue(path, lake) as connection:
        assert connection.sql("SELECT count(*) FROM releases").fetchall() == [(1,)]
        show_as_of(connection, CLOSED, ALL)
        assert connection.sql("SELECT count(*) FROM releases").fetchall() == [(0,)]


def test_every_relation_of_a_catalogue_answers_as_of_a_moment_or_is_refused_by_name(catalogue: tuple[Lake, Path]) -> None:
    lake, path = catalogue
    with open_catalogue(path, lake) as connection:
        there = relations(connection)
        show_as_of(connection, CLOSED, ALL)
        for name in there:
            if ANSWERS[name] in (Answer.COMPUTED, Answer.OVERWRITTEN):
                with pytest.raises(duckdb.Error, match=rf"{name} .*: ask the release of that time") as refused:
                    connection.sql(f"SELECT count(*) FROM {name} WHERE false").fetchall()
                assert (refusal_in(str(refused.value)) or "").startswith(f"{name} ")
            else:
                connection.sql(f"SELECT * FROM {name}").fetchall()
    assert set(there) == set(ANSWERS)


def test_nothing_that_became_known_later_shows_in_any_relation(catalogue: tuple[Lake, Path]) -> None:
    """The corrected close of 9 and its bar of the third are unknown at the close of the second, wherever one looks."""
    lake, path = catalogue
    with open_catalogue(path, lake) as connection:
        there = relations(connection)
        show_as_of(connection, datetime(2024, 1, 3, 20, tzinfo=UTC), ALL)
        for name in there:
            if ANSWERS[name] in (Answer.COMPUTED, Answer.OVERWRITTEN):
                continue
            if {"close", "session_date"} <= {column for column, *_ in connection.sql(f"DESCRIBE {name}").fetchall()}:
                shown = connection.sql(f"SELECT session_date, close FROM {name}").fetchall()
                assert shown in ([], [(D1, 10.0)]), name


@pytest.mark.slow
@pytest.mark.measured
def test_of_a_lake_that_came_later_no_relation_shows_a_row_but_the_calendar(tmp_path: Path) -> None:
    """A row of every table, whatever tables there are: all of it was delivered, computed and replaced after the moment."""
    lake, versions = Lake(str(tmp_path / "lake")), {}
    for name, schema in SCHEMAS.items():
        values = {column: _of_later(kind) for column, kind in empty_frame(schema).schema.items()}
        given = {**values, "session_year": D2.year} if "session_year" in values else values
        rows = pl.DataFrame([given], schema=dict(empty_frame(schema).schema))
        versions[name] = LakeTable(lake.table_uri("XNYS", name), schema).append(rows, {})
    release, _ = record_release(lake, "XNYS", versions, code_version="1", config={}, sessions=[])
    path = write_catalogue(lake, release, SCHEMAS, releases(lake), tmp_path / "state")

    shown = set()
    with open_catalogue(path, lake) as connection:
        there = relations(connection)
        assert [name for name in there if not connection.sql(f"SELECT * FROM {name}").fetchall()] == ["price_factors"]
        show_as_of(connection, CLOSED, ALL)
        for name in there:
            # A relation that cannot answer is refused.
            with suppress(duckdb.CatalogException):
                shown |= {name} if connection.sql(f"SELECT * FROM {name}").fetchall() else set()
    assert shown == {"sessions"}


def _of_later(kind: pl.DataType) -> object:
    """A value of the type; every time lies after the moment."""
    if isinstance(kind, pl.List):
        return [_of_later(kind.inner)]  # type: ignore[arg-type]
    times = {pl.Datetime: CORRECTED, pl.Date: D2, pl.String: "A", pl.Boolean: True}
    return next((value for like, value in times.items() if isinstance(kind, like)), 1)


def test_the_newest_bars_are_those_of_the_moment(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, None, "bars_daily_latest") == [(D1, 9.0), (D2, 11.0)]
    assert closes(catalogue, CLOSED, "bars_daily_latest") == [(D1, 10.0), (D2, 11.0)]
    assert closes(catalogue, datetime(2024, 1, 2, 22, tzinfo=UTC), "bars_daily_latest") == [(D1, 10.0)]


def test_what_was_replaced_shows_once_it_was(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, CLOSED, "bars_daily_superseded") == []
    assert closes(catalogue, CORRECTED, "bars_daily_superseded") == [(D1, 10.0)]


def test_a_relation_without_an_answer_is_refused(catalogue: tuple[Lake, Path], tmp_path: Path) -> None:
    lake, path = catalogue
    added = tmp_path / "added.duckdb"
    added.write_bytes(path.read_bytes())
    added.chmod(0o644)
    with duckdb.connect(str(added)) as connection:
        connection.execute("CREATE VIEW brand_new AS SELECT 1 AS a")
    with open_catalogue(added, lake) as connection:
        show_as_of(connection, CLOSED, ALL)
        with pytest.raises(duckdb.Error, match=r"brand_new has no answer as of a moment"):
            connection.sql("SELECT * FROM brand_new").fetchall()


@pytest.mark.parametrize("name", ['"{}".main.bars_daily', '"{}".bars_daily_latest', "query('from \"{}\".bars_daily')"])
def test_a_query_that_reaches_past_the_moment_is_refused(catalogue: tuple[Lake, Path], name: str) -> None:
    lake, path = catalogue
    with open_catalogue(path, lake) as connection, pytest.raises(NotAQueryError, match=r"name tables without"):
        refuse_stored(connection, f"SELECT * FROM {name.format(path.stem)}")


def test_the_schema_may_be_named(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, CLOSED, "main.bars_daily") == [(D1, 10.0), (D2, 11.0)]


def test_indicators_show_the_rows_whose_values_were_the_same_then(tmp_path: Path) -> None:
    """A restatement of April dates the second row; before it that row had other values, which are not kept."""
    rows = [("A", D1, 50.0, CLOSED), ("A", D2, 60.0, CORRECTED)]
    lake, path = released(tmp_path, "indicators_daily", [row(*values) for values in rows])
    with open_catalogue(path, lake) as connection:
        show_as_of(connection, CLOSED, ALL)
        for name in ("indicators_daily", "indicators_daily_adjusted", "indicators_daily_latest"):
            assert connection.sql(f"SELECT session_date, rsi_14 FROM {name}").fetchall() == [(D1, 50.0)]


def test_a_signal_that_was_withdrawn_later_is_still_there_and_names_nothing_of_later(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    signals, old = TABLES["scanner_signals"], TABLES["scanner_signals_superseded"]
    LakeTable(lake.table_uri("XNYS", signals.name), signals).append(
        frame(signals, [signal("new", CORRECTED), signal("back", CLOSED)]), {}
    )
    gone = [
        {**signal(name, CLOSED), "superseded_by": "new", "superseded_at": CORRECTED, "superseded_by_batch": "b"}
        for name in ("gone", "back")
    ]
    LakeTable(lake.table_uri("XNYS", old.name), old).append(frame(old, gone), {})
    release, _ = record_release(lake, "XNYS", {signals.name: 1, old.name: 1}, code_version="1", config={}, sessions=[])
    path = write_catalogue(lake, release, SCHEMAS, releases(lake), tmp_path / "state")

    found = {}
    for moment in (CLOSED, CORRECTED):
        with open_catalogue(path, lake) as connection:
            show_as_of(connection, moment, ALL)
            query = "SELECT signal_id, superseded_by FROM scanner_signals ORDER BY signal_id"
            found[moment] = connection.sql(query).fetchall()
    assert found == {CLOSED: [("back", None), ("gone", None)], CORRECTED: [("back", None), ("new", None)]}


def released(folder: Path, name: str, rows: list[dict[str, object]]) -> tuple[Lake, Path]:
    """The catalogue of a lake that has these rows of one table."""
    lake, schema = Lake(str(folder / "lake")), SCHEMAS[name]
    version = LakeTable(lake.table_uri("XNYS", name), schema).append(frame(schema, rows), {})
    release, _ = record_release(lake, "XNYS", {name: version}, code_version="1", config={}, sessions=[])
    return lake, write_catalogue(lake, release, SCHEMAS, releases(lake), folder / "state")


def frame(schema: TableSchema, rows: list[dict[str, object]]) -> pl.DataFrame:
    types = dict(empty_frame(schema).schema)
    return pl.DataFrame([{name: found.get(name) for name in schema.names} for found in rows], schema=types)


def row(instrument: str, session: date, rsi: float, known: datetime) -> dict[str, object]:
    where = {"exchange": "XNYS", "instrument_id": instrument, "session_date": session, "symbol": instrument}
    return {**where, "rsi_14": rsi, "bars_seen": 20, "known_at": known, "session_year": session.year}


def signal(name: str, known: datetime) -> dict[str, object]:
    texts = ("scanner_name", "exchange", "instrument_id", "symbol", "timeframe", "details")
    where = {
        "signal_id": name,
        "scanner_version": 1,
        "session_date": D2,
        "ts": CLOSED,
        "signal_type": "BUY",
        "session_year": D2.year,
    }
    return {**dict.fromkeys(texts, "x"), **where, "entry_price": 1.0, "confidence_score": 0.5, "known_at": known}
