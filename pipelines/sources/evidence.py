"""A row of a raw file as it was received, whatever its format.

Lives here: `raw_row`, for people who want to see what a bar was read from.
Does not live here: reading it (the formats).
"""

from __future__ import annotations

from pipelines.sources.parquet import parquet_row
from pipelines.sources.protocol import RawFile, SourceError
from pipelines.sources.text import read_text

_PARQUET = b"PAR1"


def raw_row(raw: RawFile, row_number: int) -> str | None:
    """Row `row_number` (1 = the first) as received: a line of text, out of an archive too, or a row of Parquet as JSON.

    None where the file has no such row or a format of its own.
    """
    with raw.path.open("rb") as stream:
        is_parquet = stream.read(len(_PARQUET)) == _PARQUET
    if is_parquet:
        return parquet_row(raw, row_number)
    try:
        lines = read_text(raw).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except SourceError:
        return None
    return lines[row_number - 1] if 0 < row_number <= len(lines) else None
