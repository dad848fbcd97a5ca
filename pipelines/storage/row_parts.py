"""Rows that may be too many for memory, in parts of whole sessions.

Lives here: `RowParts`, rows of one table in memory or a Parquet file a part, and `SessionSorter`, which makes such parts of rows
that come in another order, as those of a file a symbol.
Does not live here: which rows these are (`ingest/parsing.py`, `ingest/staging.py`), tables of the lake (`delta.py`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import polars as pl

#: Rows of a part, about: a session of 500 instruments has 187,500 minutes. A session is never divided.
PART_ROWS = 250_000
#: Small enough that a session's rows in a file of many sessions are found by the statistics of a few groups.
_GROUP_ROWS = 16_384
_DAY = "__day"


class RowParts:
    """Rows of one table, part by part in the order of their sessions. Those in files are read when they are asked for."""

    def __init__(self, frames: Sequence[pl.DataFrame] = (), files: Sequence[Path] = ()) -> None:
        self._frames, self._files = list(frames), list(files)

    def __len__(self) -> int:
        """How many parts there are."""
        return len(self._frames) + len(self._files)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the parts that are not in memory."""
        return tuple(self._files)

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Each part, or some columns of it. There is at least one part where there are columns to tell, if without rows."""
        for frame in self._frames:
            yield frame if columns is None else frame.select(columns)
        for file in self._files:
            yield pl.read_parquet(file, columns=None if columns is None else list(columns), glob=False)

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows at once."""
        return self._frames[0] if len(self) == 1 and self._frames and columns is None else pl.concat(self.parts(columns))

    def last(self) -> pl.DataFrame:
        """The last part."""
        return pl.read_parquet(self._files[-1], glob=False) if self._files else self._frames[-1]

    def filter(self, where: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
        """Some columns of the rows for which `where` holds."""
        lazy = [*(frame.lazy() for frame in self._frames), *(pl.scan_parquet(file, glob=False) for file in self._files)]
        return pl.concat([part.filter(where).select(columns).collect() for part in lazy])

    def height(self) -> int:
        """How many rows there are."""
        stored = (pl.scan_parquet(file, glob=False).select(pl.len()).collect().item() for file in self._files)
        return sum(frame.height for frame in self._frames) + sum(stored)

    def content_hash(self) -> str:
        """SHA-256 of the parts' files, in order."""
        digest = hashlib.sha256()
        for file in self._files:
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()


class PartWriter:
    """Takes parts in: each becomes a Parquet file in a new folder; without a `folder` they stay in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._frames: list[pl.DataFrame] = []
        self._files: list[Path] = []
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def add(self, part: pl.DataFrame) -> None:
        """Add a part. One without rows is left out unless it is the first, which tells the columns."""
        if part.is_empty() and (self._frames or self._files):
            return
        if self._folder is None:
            self._frames.append(part)
            return
        self._files.append(self._folder / f"part-{len(self._files):06d}.parquet")
        part.write_parquet(self._files[-1])

    def written(self) -> RowParts:
        """What was added."""
        return RowParts(self._frames, self._files)


def stored_parts(folder: Path) -> RowParts:
    """What a `PartWriter` wrote into a folder."""
    return RowParts(files=sorted(folder.glob("part-*.parquet")))


class SessionSorter:
    """Rows that are added file by file, handed out session by session.

    Within a session rows keep the order in which they were added. Up to `PART_ROWS` rows stay in memory and are one part in the
    order in which they came; more are written, in runs sorted by session. Without a `folder` everything stays in memory.
    """

    def __init__(self, schema: Mapping[str, pl.DataType], day: pl.Expr, folder: Path | None = None) -> None:
        self._schema, self._day, self._folder = dict(schema), day.alias(_DAY), folder
        self._buffer: list[pl.DataFrame] = []
        self._runs: list[Path] = []
        self._counted: list[pl.DataFrame] = []
        self._left_out: frozenset[str] = frozenset()

    @property
    def spilled(self) -> bool:
        """Whether the rows are in files."""
        return bool(self._runs)

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows of one file, with `batch_id` and `symbol`."""
        self._counted.append(rows.group_by("batch_id", "symbol", self._day).agg(rows=pl.len()))
        self._buffer.append(rows)
        if self._folder is not None and sum(frame.height for frame in self._buffer) > PART_ROWS:
            self._write_run(self._folder)

    def finish(self) -> None:
        """Say that no more rows will come."""
        if self._runs and self._buffer and self._folder is not None:
            self._write_run(self._folder)

    def counted(self) -> pl.DataFrame:
        """Rows by `batch_id`, `symbol` and `day` (null where a row has no time)."""
        schema = {"batch_id": pl.String, "symbol": pl.String, _DAY: pl.Date, "rows": pl.UInt32}
        counted = pl.concat([pl.DataFrame(schema=schema), *self._counted])
        return counted.filter(~pl.col("batch_id").is_in(list(self._left_out))).rename({_DAY: "day"})

    def without(self, batches: Collection[str]) -> SessionSorter:
        """The same rows but for those of some batches."""
        kept = SessionSorter(self._schema, self._day, self._folder)
        kept._runs, kept._counted, kept._left_out = self._runs, self._counted, self._left_out | frozenset(batches)
        kept._buffer = (
            [frame.filter(~pl.col("batch_id").is_in(list(batches))) for frame in self._buffer] if batches else self._buffer
        )
        return kept

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Parts of whole sessions in their order, rows without a session in the first. One part where nothing was written."""
        names = list(self._schema) if columns is None else list(columns)
        if not self._runs:
            yield pl.concat([pl.DataFrame(schema=self._schema), *self._buffer]).select(names)
            return
        runs = pl.scan_parquet(self._runs, glob=False)
        kept = ~pl.col("batch_id").is_in(list(self._left_out)) if self._left_out else pl.lit(value=True)
        day = pl.col(_DAY)
        for number, (first, last) in enumerate(self._bounds()):
            within = day.is_between(first, last)
            yield runs.filter((within | day.is_null() if number == 0 else within) & kept).select(names).collect()

    def _bounds(self) -> list[tuple[date, date]]:
        """First and last day of each part."""
        counts = pl.concat(self._counted).group_by(_DAY).agg(pl.col("rows").sum()).drop_nulls().sort(_DAY)
        bounds: list[tuple[date, date]] = []
        rows = 0
        for day, count in counts.iter_rows():
            if bounds and rows + count <= PART_ROWS:
                bounds[-1], rows = (bounds[-1][0], day), rows + count
            else:
                bounds.append((day, day))
                rows = count
        return bounds or [(date.min, date.min)]

    def _write_run(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        rows = pl.concat(self._buffer).with_columns(self._day).sort(_DAY, maintain_order=True)
        self._buffer = []
        self._runs.append(folder / f"run-{len(self._runs):06d}.parquet")
        rows.write_parquet(self._runs[-1], row_group_size=_GROUP_ROWS, compression="lz4")


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards, and what a killed process left there before. For one process at a time."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
