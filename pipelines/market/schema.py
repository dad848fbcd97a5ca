"""The vocabulary of table schemas: `Column` and `TableSchema`.

Lives here: what a column and a table are, and their Arrow and polars forms. Everything derived from a schema (pandera contracts, GX
columns, dbt's yml, catalogue views and comments, fingerprints, docs) starts from these two classes.
Does not live here: the tables themselves (`market/tables/`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl
import pyarrow as pa

UTC_TIMESTAMP = pa.timestamp("us", tz="UTC")
DATE = pa.date32()
TIME = pa.time64("ns")
TEXT = pa.string()
REAL = pa.float64()
FLOAT = pa.float32()
WHOLE = pa.int64()
FLAG = pa.bool_()


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it means, its unit, and whether it may be missing.

    `observational` marks what a rebuild cannot reproduce (clock times, durations, versions): fingerprints leave it out.
    """

    name: str
    type: pa.DataType
    description: str
    unit: str | None = None
    nullable: bool = False
    observational: bool = False

    @property
    def comment(self) -> str:
        """What people read of the column wherever it is shown: its meaning and, in brackets, its unit."""
        return f"{self.description} [{self.unit}]" if self.unit else self.description


@dataclass(frozen=True)
class TableSchema:
    """One published table: key, columns, and how it is laid out in the lake.

    `partition_by` names the partition column (at most one); `sort_by` the order of rows inside a file. `completed` names figures
    that not every file has: a missing one says nothing about a stored one (see `storage/merge.py`).
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: str | None = None
    sort_by: tuple[str, ...] = ()
    completed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name}: a column is named twice")
        missing = [c for c in (*self.key, *self.sort_by, *filter(None, [self.partition_by])) if c not in names]
        if missing:
            raise ValueError(f"table {self.name}: no such column: {', '.join(missing)}")

    @property
    def names(self) -> list[str]:
        """Column names in published order."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name} has no column {name}")

    def arrow(self) -> pa.Schema:
        """The Arrow schema, fields in published order."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    def polars(self) -> dict[str, pl.DataType]:
        """Polars' types by column, in published order."""
        # From no batch: to make empty columns pyarrow would import pandas.
        frame = pl.from_arrow(pa.Table.from_batches([], schema=self.arrow()))
        assert isinstance(frame, pl.DataFrame)
        return dict(frame.schema)

    def reproducible(self) -> list[str]:
        """Names of the columns that the same inputs always reproduce."""
        return [c.name for c in self.columns if not c.observational]

    def derive(self, name: str, description: str, *, key: Iterable[str], add: Iterable[Column]) -> TableSchema:
        """A table like this one with more columns and another key."""
        return replace(self, name=name, description=description, key=tuple(key), columns=(*self.columns, *add))
