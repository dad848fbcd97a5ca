"""Text of bars through the csv source.

Lives here: `parse`, `utc`, the two zones of the tests.
Does not live here: what is expected (`tests/unit/sources/`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pipelines.sources.csv import CsvSource
from pipelines.sources.protocol import FRAME_SCHEMAS, ParsedTable, ParseOptions, RawFile

NEW_YORK = "America/New_York"
KOLKATA = "Asia/Kolkata"


def parse(folder: Path, content: str | bytes, *, name: str = "acme.csv", **options: object) -> ParsedTable:
    path = folder / "received"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    extra = {k: str(options.pop(k)) for k in list(options) if k not in ("symbol", "session", "timezone", "exchange")}
    given_options = {"exchange": "XNYS", "timezone": NEW_YORK, **options}
    (table,) = CsvSource().parse(RawFile(path, name, ""), ParseOptions(extra=extra, **given_options))  # type: ignore[arg-type]
    assert dict(table.frame.schema) == dict(FRAME_SCHEMAS[table.table])
    return table


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
