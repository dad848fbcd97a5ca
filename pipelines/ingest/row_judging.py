"""The rules of rows, run on the prepared rows of a table: what is kept, what is set aside, and the counts of both.

Lives here: `RowJudge`, for all tables of an order.
Does not live here: the rules (`quality/row_rules.py`, `quality/duplicates.py`), what they are asked about (`staging.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.ingest.accounting import count_read
from pipelines.ingest.overrides import overridden_rules, undecided, with_overrides
from pipelines.ingest.quarantine import quarantine_rows
from pipelines.ingest.reference_rows import show_instruments
from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.staged import Counts
from pipelines.ingest.staging_columns import stage_columns
from pipelines.market.tables import BAR_TABLES, TABLES
from pipelines.quality.duplicates import resolve_duplicates
from pipelines.quality.row_rules import judge
from pipelines.sources.protocol import Source
from pipelines.storage.location import Lake
from pipelines.storage.merge import PROVENANCE_COLUMNS

#: Tables whose rows obey the rules of another one.
_JUDGED_AS = {"bars_1m_extended": "bars_1m", "bars_other_series": "bars_daily"}
_ROW = ["batch_id", "row_number"]


@dataclass(frozen=True)
class Judged:
    """Rows of a table by what becomes of them.

    `kept`: the lake's columns and `received_at`. `bad`: rows of the quarantine. `read`: how many there were (columns of
    `account.READ`). `shown`: what kept bars show of instruments (`show_instruments`).
    """

    kept: pl.DataFrame
    bad: Sequence[pl.DataFrame]
    read: pl.DataFrame
    shown: pl.DataFrame
    counts: Counts

    @classmethod
    def together(cls, parts: Sequence[Judged]) -> Judged:
        """What became of all parts of a table."""
        counts = Counts(
            sum(part.counts.read for part in parts),
            sum(part.counts.duplicates for part in parts),
            sum(part.counts.quarantined for part in parts),
        )
        return cls(
            pl.concat([part.kept for part in parts]),
            [frame for part in parts for frame in part.bad],
            pl.concat([part.read for part in parts]).sort("batch_id", "session_date"),
            pl.concat([part.shown for part in parts]),
            counts,
        )


@dataclass(frozen=True)
class RowJudge:
    """What the rows of an order are judged by beside the rules.

    `overridden`: as `overrides.overridden_rules` gives it. `chosen`: rows (table_name, batch_id, row_number) that the order's
    decision lets in, None without one. `held`: rows that a gate refused before.
    """

    exchange: str
    priorities: Mapping[str, int]
    overridden: pl.DataFrame
    chosen: pl.DataFrame | None
    held: pl.DataFrame

    @classmethod
    def for_order(cls, lake: Lake, order: IngestRequest, sources: Mapping[str, Source], held: pl.DataFrame) -> RowJudge:
        """The judge of an order's rows."""
        return cls(
            order.exchange,
            {name: source.priority for name, source in sources.items()},
            overridden_rules(lake, order.exchange, order.decision),
            None if order.decision is None else undecided(lake, order.exchange, order.decision.selection),
            held,
        )

    def judge_rows(self, table: str, delivered: pl.DataFrame) -> Judged:
        """Run the table's rules and resolve duplicates. Rows of one key must come together."""
        rows = with_overrides(delivered, self.overridden, table)
        good, faulty = judge(_JUDGED_AS.get(table, table), rows)
        schema = TABLES[table]
        values = [c for c in schema.names if c not in {*schema.key, *PROVENANCE_COLUMNS} and c in good.columns]
        kept, dropped, refused = resolve_duplicates(good, schema.key, values, self.priorities, schema.completed)
        if self.chosen is not None:
            chosen = self.chosen.filter(pl.col("table_name") == table)
            rows, kept, faulty, refused = (
                frame.join(chosen, on=_ROW, how="semi", maintain_order="left") for frame in (rows, kept, faulty, refused)
            )
            dropped = rows.height - kept.height - faulty.height - refused.height
        staged = stage_columns(schema, kept)
        before = self.held.filter(pl.col("table_name") == table)
        return Judged(
            staged,
            [quarantine_rows(self.exchange, table, frame) for frame in (faulty, refused)],
            count_read(table, rows),
            show_instruments(staged, before) if table in BAR_TABLES else pl.DataFrame(),
            Counts(rows.height, dropped, faulty.height + refused.height),
        )
