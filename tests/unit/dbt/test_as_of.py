"""The macro `as_of`: a table as known at a moment, from its rows and those replaced since."""

from pathlib import Path

import duckdb
import jinja2
import pytest

from pipelines.build.lake_schema import create_lake_schema
from pipelines.indicators.registry import installed
from pipelines.package_data import shipped

MOMENTS = ("2024-01-02 12:00Z", "2024-01-03 12:00Z", "2024-02-01 12:00Z")


class CompilerError(Exception):
    """What dbt raises of a macro."""


class Exceptions:
    @staticmethod
    def raise_compiler_error(message: str) -> None:
        raise CompilerError(message)


def rendered(relation: str, moment: str) -> str:
    text = (Path(str(shipped("dbt_project"))) / "macros" / "as_of.sql").read_text()
    names = {"source": lambda schema, name: f"{schema}.{name}", "exceptions": Exceptions}
    template = jinja2.Environment().from_string(text, globals=names)
    return str(template.make_module(names).as_of(relation, f"timestamptz '{moment}'"))  # type: ignore[attr-defined]


def test_each_moment_sees_the_value_of_its_time() -> None:
    """Close 10 known on the 2nd at 21:00, corrected to 11 on 20 January; another bar came on the 3rd."""
    with duckdb.connect() as connection:
        create_lake_schema(connection, installed())
        connection.execute(
            """
            insert into lake.bars_daily by name
                select * from (values
                    ('A', date '2024-01-02', 11.0, timestamptz '2024-01-20 10:00Z'),
                    ('B', date '2024-01-02', 20.0, timestamptz '2024-01-03 10:00Z')
                ) as t(instrument_id, session_date, close, known_at);
            insert into lake.bars_daily_superseded by name
                select 'A' as instrument_id, date '2024-01-02' as session_date, 10.0 as close,
                    timestamptz '2024-01-02 21:00Z' as known_at, timestamptz '2024-01-20 10:00Z' as superseded_at
            """
        )
        seen = [
            dict(connection.execute(f"select instrument_id, close from {rendered('bars_daily', m)}").fetchall()) for m in MOMENTS
        ]
    assert seen == [{}, {"A": 10.0, "B": 20.0}, {"A": 11.0, "B": 20.0}]


@pytest.mark.parametrize("relation", ["bars_daily", "bars_1m", "corporate_actions", "instruments"])
def test_every_table_it_knows_can_be_read_with_all_its_columns(relation: str) -> None:
    with duckdb.connect() as connection:
        create_lake_schema(connection, installed())
        plain = connection.sql(f"from lake.{relation}").columns
        assert connection.sql(f"select * from {rendered(relation, MOMENTS[0])}").columns == plain


def test_a_table_whose_replaced_rows_are_not_kept_is_refused_with_those_that_are() -> None:
    with pytest.raises(CompilerError, match="known are bars_daily, bars_1m"):
        rendered("indicators_daily", MOMENTS[0])
