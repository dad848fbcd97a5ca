"""What people see of a materialisation: previews, versions, figures.

Lives here: turning frames into Dagster metadata.
Does not live here: the figures (the packages that compute them).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from pipelines.market.schema import TableSchema
from pipelines.printable import markdown_text
from pipelines.storage.delta import LakeTable

_PREVIEW_ROWS = 8
_PREVIEW_COLUMNS = 14


def preview(frame: pl.DataFrame, rows: int = _PREVIEW_ROWS) -> dg.MetadataValue:
    """The last rows as a Markdown table."""
    shown = frame.tail(rows).select(frame.columns[:_PREVIEW_COLUMNS])
    lines = ["| " + " | ".join(shown.columns) + " |", "|" + "---|" * len(shown.columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in shown.iter_rows()]
    return dg.MetadataValue.md("\n".join(lines))


def schema_metadata(schema: TableSchema) -> dg.TableSchema:
    """The columns of a table, for the asset's definition."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                c.name,
                type=str(c.type),
                description=c.comment,
                constraints=dg.TableColumnConstraints(nullable=c.nullable),
            )
            for c in schema.columns
        ]
    )


def row_count(table: LakeTable) -> dict[str, int]:
    """Rows of the whole table as it stands, under the name that the catalog knows."""
    return {"dagster/row_count": table.row_count()}


def session_row_count(rows: int) -> dict[str, int]:
    """Rows of the session that a materialisation is of, under the name that Dagster has for those of a partition."""
    return {"dagster/partition_row_count": rows}


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as people read them, floats to six significant digits; the tables keep the rest."""
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in figures.items()}


def picture(svg: bytes, title: str) -> dg.MetadataValue:
    """A small SVG shown inline."""
    return dg.MetadataValue.md(f"![{markdown_text(title)}](data:image/svg+xml;base64,{base64.b64encode(svg).decode()})")


def link(path: Path) -> dg.MetadataValue:
    """A file of this machine."""
    return dg.MetadataValue.path(path)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return markdown_text(text[:60])
