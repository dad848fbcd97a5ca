"""The contract of a table: what its schema promises holds of rows, by pandera and by the quick look before it alike."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.ingest.batches import read_batch
from pipelines.ingest.publish import publish_staged, run_gate
from pipelines.market.tables import MERGED, TABLES
from pipelines.quality.contract import ContractError, check_contract
from pipelines.sources.registry import load_sources
from tests.support.pipeline import stage_request

FILLED = {
    pl.String: "x",
    pl.Date: date(2024, 1, 2),
    pl.Datetime: datetime(2024, 1, 2, tzinfo=UTC),
    pl.Boolean: True,
    pl.Int64: 1,
    pl.Float64: 1.0,
}


def sound(name: str) -> pl.DataFrame:
    """Two rows of a table: every column filled, and only those that must be."""
    schema = TABLES[name]
    types = schema.polars()
    full = {column: FILLED[kind.base_type()] for column, kind in types.items()}
    least = {column: None if schema.column(column).nullable else value for column, value in full.items()}
    return pl.DataFrame([full, least], schema=types)


@pytest.mark.parametrize("table", MERGED, ids=lambda table: table.name)
def test_rows_of_a_table_keep_its_contract_beside_columns_of_their_own(table) -> None:
    rows = sound(table.name)
    check_contract(table, rows)
    check_contract(table, rows.with_columns(received_at=pl.lit("when")))
    check_contract(table, rows.clear())


@pytest.mark.parametrize("table", MERGED, ids=lambda table: table.name)
def test_each_required_column_that_is_empty_breaks_the_contract_by_name(table) -> None:
    rows = sound(table.name)
    for column in table.columns:
        if not column.nullable:
            second = pl.int_range(pl.len()) == 1
            broken = rows.with_columns(pl.when(~second).then(column.name).alias(column.name))
            with pytest.raises(ContractError, match=rf"{table.name}: 2 rows .*: {column.name} is empty in some rows"):
                check_contract(table, broken)


def test_another_type_and_a_missing_column_break_the_contract_by_name() -> None:
    rows = sound("instruments")
    with pytest.raises(ContractError, match=r"lot_size is Float64 and must be Int64\."):
        check_contract(TABLES["instruments"], rows.with_columns(pl.col("lot_size").cast(pl.Float64)))
    with pytest.raises(ContractError, match=r"symbol is missing; name is missing\."):
        check_contract(TABLES["instruments"], rows.drop("symbol", "name"))


def test_staged_rows_that_break_the_contract_are_not_published(pipeline, bars_csv) -> None:
    order = pipeline.order(pipeline.deliver("bars.csv", bars_csv([("AAA", "2024-01-02", 10, 11, 9, 10, 1)])))
    state = pipeline.settings.state_dir
    folder = stage_request(pipeline.lake, order, load_sources(), state, pipeline.limits)
    read_batch(folder, "bars_daily").with_columns(source=pl.lit(None, pl.String)).write_parquet(folder / "bars_daily.parquet")
    for table in ("instruments", "bars_daily"):
        run_gate(pipeline.lake, "XNYS", table, folder, state)
    publish_staged(pipeline.lake, "XNYS", "instruments", folder, state, {"csv": 10})

    with pytest.raises(ContractError, match=r"bars_daily: 1 rows .*: source is empty in some rows and must not be\. Nothing"):
        publish_staged(pipeline.lake, "XNYS", "bars_daily", folder, state, {"csv": 10})
    assert pipeline.table("bars_daily").version() is None
