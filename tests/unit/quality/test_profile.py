"""A profile has the columns and types that its schema says."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.market.calendar import calendar
from pipelines.market.tables import MERGED
from pipelines.market.tables.profiles import profile_schema
from pipelines.quality.profile import profile

DAY, MOMENT = date(2024, 1, 2), datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
FILLED = {pl.String: "XNYS", pl.Date: DAY, pl.Datetime: MOMENT, pl.Boolean: True, pl.Int64: 1, pl.Float64: 1.0}


@pytest.mark.parametrize("table", MERGED, ids=lambda table: table.name)
def test_a_profile_is_as_its_schema_says(table) -> None:
    types = table.polars()
    row = {name: FILLED[kind.base_type()] for name, kind in types.items()}
    staged = pl.DataFrame([row], schema=types).with_columns(received_at=MOMENT, overrules=pl.lit(None, pl.List(pl.String)))

    figures = profile(table.name, staged, calendar("XNYS"))

    assert figures.height == 1
    # GX takes columns in any order.
    assert dict(sorted(figures.schema.items())) == dict(sorted(profile_schema(table).polars().items()))
