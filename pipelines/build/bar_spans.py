"""First and last sessions with a bar, of instruments and of a table.

Lives here: looking for them from the ends of a table, so that a night opens the newest partitions and no history.
Does not live here: which instruments a build asks about (`plan.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipelines.storage.delta import LakeTable, PartitionValue

#: Of each instrument its first session with a bar, or its last.
FIRST = {"instrument_id": pl.String, "first_session": pl.Date}
LAST = {"instrument_id": pl.String, "to_session": pl.Date}
_DAY = pl.col("session_date")


@dataclass(frozen=True)
class BarSpans:
    """The sessions of a table of bars at a version (None: there is no such table)."""

    table: LakeTable
    version: int | None

    def bounds(self) -> tuple[date, date] | None:
        """The first and the last session with a bar; None without any."""
        partitions = self._partitions()
        if not partitions:
            return None
        days = [self._read(partition).get_column("session_date") for partition in (partitions[0], partitions[-1])]
        return days[0].min(), days[1].max()  # type: ignore[return-value]

    def ends(self) -> pl.DataFrame:
        """First and last session of every instrument (instrument_id, session). Reads all of history, a partition at a time."""
        parts = [pl.DataFrame(schema={**FIRST, **LAST})]
        for partition in self._partitions():
            parts.append(self._read(partition).group_by("instrument_id").agg(first_session=_DAY.min(), to_session=_DAY.max()))
        spans = pl.concat(parts).group_by("instrument_id").agg(pl.col("first_session").min(), pl.col("to_session").max())
        return pl.concat([spans.select("instrument_id", session=name) for name in ("first_session", "to_session")])

    def first(self, instruments: Iterable[str]) -> pl.DataFrame:
        """First sessions of these instruments, as `FIRST`; those without a bar are left out."""
        wanted = pl.DataFrame({"instrument_id": sorted(instruments)}, schema={"instrument_id": pl.String})
        found = [pl.DataFrame(schema=FIRST)]
        for partition in self._partitions():
            if wanted.is_empty():
                break
            found.append(self._of(wanted, partition).agg(first_session=_DAY.min()))
            wanted = wanted.join(found[-1], on="instrument_id", how="anti")
        return pl.concat(found)

    def last(self, instruments: pl.DataFrame) -> pl.DataFrame:
        """Last sessions, as `LAST`, of instruments that have a bar on or after `not_before`; of others it may be left out.

        instruments: instrument_id, not_before.
        """
        wanted = instruments
        found = [pl.DataFrame(schema=LAST)]
        for partition in reversed(self._partitions()):
            wanted = wanted.filter(pl.col("not_before") <= _last_day(partition))
            if wanted.is_empty():
                break
            found.append(self._of(wanted, partition).agg(to_session=_DAY.max()))
            wanted = wanted.join(found[-1], on="instrument_id", how="anti")
        return pl.concat(found)

    def _partitions(self) -> list[PartitionValue]:
        rows = {} if self.version is None else self.table.partition_rows(self.version)
        return sorted(partition for partition, count in rows.items() if count)

    def _of(self, wanted: pl.DataFrame, partition: PartitionValue) -> pl.dataframe.group_by.GroupBy:
        return self._read(partition).join(wanted, on="instrument_id", how="semi").group_by("instrument_id")

    def _read(self, partition: PartitionValue) -> pl.DataFrame:
        return self.table.read(self.version, [partition], ["instrument_id", "session_date"], verify=False)


def _last_day(partition: PartitionValue) -> date:
    return partition if isinstance(partition, date) else date(int(partition), 12, 31)
