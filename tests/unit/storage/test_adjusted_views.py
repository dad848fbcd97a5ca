"""Today's price basis: factors between ex-dates, checked by hand and against Lean's own factor files."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.bundled import bundled_folder
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.sources.protocol import ParseOptions, RawFile
from pipelines.sources.registry import source
from pipelines.storage.adjusted_views import create_adjusted_views
from pipelines.storage.relations import quoted, select_files
from tests.support.indicator_tables import INDICATORS_DAILY

D1, D2, D3, D4 = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4), date(2024, 1, 5)
FACTOR_FILES = sorted(Path(str(bundled_folder() / "lean/equity/usa/factor_files")).glob("*.csv"))


@pytest.fixture
def catalogue() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for schema in (TABLES["bars_daily"], TABLES["corporate_actions"], INDICATORS_DAILY):
            connection.execute(f"CREATE TABLE {quoted(schema.name)} AS {select_files(schema, [])}")
        create_adjusted_views(connection, TABLES["bars_daily"], INDICATORS_DAILY)
        yield connection


def insert(connection: duckdb.DuckDBPyConnection, schema: TableSchema, rows: pl.DataFrame) -> None:
    rows = rows.with_columns(exchange=pl.lit("XNYS"), instrument_id=pl.lit("XNYS:A"))
    connection.register("incoming", rows.to_arrow())
    connection.execute(f"INSERT INTO {quoted(schema.name)} BY NAME SELECT * FROM incoming")
    connection.unregister("incoming")


def bars(connection: duckdb.DuckDBPyConnection, rows: Sequence[tuple[date, float]]) -> None:
    frame = pl.DataFrame(rows, schema={"session_date": pl.Date, "close": pl.Float64}, orient="row")
    same = {name: pl.col("close") for name in ("open", "high", "low")}
    insert(connection, TABLES["bars_daily"], frame.with_columns(**same, volume=pl.lit(1_000)))


def act(
    connection: duckdb.DuckDBPyConnection, day: date, action: str, *, ratio: float | None = None, amount: float | None = None
) -> None:
    schema = {"ex_date": pl.Date, "action": pl.String, "ratio": pl.Float64, "amount": pl.Float64}
    insert(connection, TABLES["corporate_actions"], pl.DataFrame([(day, action, ratio, amount)], schema=schema, orient="row"))


def adjusted(connection: duckdb.DuckDBPyConnection, columns: str) -> list[tuple[object, ...]]:
    return connection.sql(f"SELECT {columns} FROM bars_daily_adjusted ORDER BY session_date").fetchall()


def test_without_actions_everything_is_as_traded(catalogue: duckdb.DuckDBPyConnection) -> None:
    bars(catalogue, [(D1, 10.0), (D2, 11.0)])
    assert adjusted(catalogue, "close, volume, close_total_return, split_factor") == [
        (10.0, 1000.0, 10.0, 1.0),
        (11.0, 1000.0, 11.0, 1.0),
    ]


def test_a_four_for_one_split_quarters_earlier_prices_and_multiplies_their_volume(catalogue: duckdb.DuckDBPyConnection) -> None:
    bars(catalogue, [(D1, 400.0), (D2, 404.0), (D3, 100.0)])
    act(catalogue, D3, "split", ratio=4.0)
    assert adjusted(catalogue, "open, close, volume") == [(100.0, 100.0, 4000.0), (101.0, 101.0, 4000.0), (100.0, 100.0, 1000.0)]


def test_factors_of_several_actions_multiply_and_those_of_one_day_too(catalogue: duckdb.DuckDBPyConnection) -> None:
    bars(catalogue, [(D1, 800.0), (D2, 400.0), (D3, 100.0)])
    act(catalogue, D2, "split", ratio=2.0)
    act(catalogue, D3, "bonus", ratio=2.0)
    act(catalogue, D3, "demerger", ratio=0.5)
    assert adjusted(catalogue, "close, volume, split_factor, demerger_factor") == [
        (100.0, 4000.0, 0.25, 0.5),
        (100.0, 2000.0, 0.5, 0.5),
        (100.0, 1000.0, 1.0, 1.0),
    ]


def test_a_dividend_lowers_the_total_return_close_and_no_price(catalogue: duckdb.DuckDBPyConnection) -> None:
    bars(catalogue, [(D1, 100.0), (D3, 98.0)])
    act(catalogue, D3, "dividend", amount=2.0)
    assert adjusted(catalogue, "close, close_total_return, dividend_factor") == [(100.0, 98.0, 0.98), (98.0, 98.0, 1.0)]


def test_a_dividend_beside_a_split_is_per_share_after_it(catalogue: duckdb.DuckDBPyConnection) -> None:
    """1 for each of two new shares is 2 of the old share's 100."""
    bars(catalogue, [(D1, 100.0), (D3, 49.0)])
    act(catalogue, D3, "split", ratio=2.0)
    act(catalogue, D3, "dividend", amount=1.0)
    assert adjusted(catalogue, "close, close_total_return, dividend_factor") == [(50.0, 49.0, 0.98), (49.0, 49.0, 1.0)]


def test_an_action_of_a_coming_session_is_not_in_todays_basis(catalogue: duckdb.DuckDBPyConnection) -> None:
    bars(catalogue, [(D1, 100.0), (D2, 101.0)])
    act(catalogue, D3, "split", ratio=10.0)
    assert adjusted(catalogue, "close") == [(100.0,), (101.0,)]


def test_each_indicator_moves_by_its_unit(catalogue: duckdb.DuckDBPyConnection) -> None:
    bars(catalogue, [(D1, 400.0), (D2, 100.0)])
    act(catalogue, D2, "split", ratio=4.0)
    values = {"sma_20": [400.0], "obv": [50.0], "rsi_14": [60.0], "supertrend_direction_10": [-1.0], "macd": [None]}
    schema_of = dict.fromkeys(values, pl.Float64)
    insert(catalogue, INDICATORS_DAILY, pl.DataFrame(values, schema=schema_of).with_columns(session_date=pl.lit(D1)))
    columns = "sma_20, obv, rsi_14, supertrend_direction_10, macd, split_factor"
    assert catalogue.sql(f"SELECT {columns} FROM indicators_daily_adjusted").fetchall() == [(100.0, 200.0, 60.0, -1.0, None, 0.25)]


def test_intervals_say_where_each_factor_holds(catalogue: duckdb.DuckDBPyConnection) -> None:
    bars(catalogue, [(D1, 8.0), (D2, 4.0), (D4, 2.0)])
    act(catalogue, D2, "split", ratio=2.0)
    act(catalogue, D4, "split", ratio=2.0)
    found = catalogue.sql("SELECT from_session, before_session, split_factor FROM price_factors ORDER BY before_session").fetchall()
    assert found == [(None, D2, 0.25), (D2, D4, 0.5)]


@pytest.mark.parametrize("path", FACTOR_FILES, ids=lambda path: path.stem)
def test_factors_equal_those_of_leans_file(catalogue: duckdb.DuckDBPyConnection, path: Path) -> None:
    """A line of the file: last day, price factor (dividends), split factor, close of that day (0 on the closing line)."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    rows = [(date.fromisoformat(f"{d[:4]}-{d[4:6]}-{d[6:]}"), float(p), float(s), float(c)) for d, p, s, c in lines]
    rows = [row for row in rows if row[3] > 0]
    (table,) = source("lean").parse(
        RawFile(path, f"equity/usa/factor_files/{path.name}", ""), ParseOptions("XNYS", "America/New_York")
    )
    insert(catalogue, TABLES["corporate_actions"], table.frame.select("ex_date", "action", "ratio", "amount"))
    bars(catalogue, [(day, close) for day, _, _, close in rows] + [(rows[-1][0] + timedelta(days=30), rows[-1][3])])

    found = adjusted(catalogue, "dividend_factor, split_factor")[:-1]

    # The file's factors have six or seven digits; they end at 1 when its last line is the newest day.
    last_price, last_split = rows[-1][1], rows[-1][2]
    dividends = [row[0] / found[-1][0] for row in found]  # type: ignore[operator]
    splits = [row[1] / found[-1][1] for row in found]  # type: ignore[operator]
    assert dividends == pytest.approx([p / last_price for _, p, _, _ in rows], rel=3e-6)
    assert splits == pytest.approx([s / last_split for _, _, s, _ in rows], rel=3e-5)
