"""What a refused session takes along: rows of the same deliveries in the other tables.

Lives here: `Withheld`, `withheld_sessions`, and the rows that they hold back.
Does not live here: what refuses a session (`gate.py`), keeping the rows in quarantine (`quarantine.py`).

A file that is wrong about one table's session is believed about none of it: bars of other series and minutes of the file stay out
with it, and so do instruments that only such bars showed. Other deliveries of the session are not concerned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipelines.market.tables import BAR_TABLES
from pipelines.storage.row_parts import RowParts

#: Tables that a bar's first sighting fills.
SIGHTED = ("instruments", "instrument_aliases")


@dataclass(frozen=True)
class Withheld:
    """Rows of `session` that came with one of `batches`, because `table` refused the session by the expectation `name`."""

    session: date
    batches: tuple[str, ...]
    table: str
    name: str


def withheld_sessions(refused: Mapping[str, Mapping[date, Sequence[str]]], staged: Mapping[str, RowParts]) -> list[Withheld]:
    """What the refusals (session → expectations, by table) hold back elsewhere.

    `staged`: the order's tables. Corporate actions come in files of their own and neither refuse bars nor stay out with them.
    """
    found = []
    for table, sessions in refused.items():
        if table not in (*BAR_TABLES, *SIGHTED):
            continue
        day = "session_date" if table in BAR_TABLES else "valid_from"
        for session, names in sorted(sessions.items()):
            batches = staged[table].filter(pl.col(day) == session, ["batch_id"])["batch_id"].unique().sort().to_list()
            found.append(Withheld(session, tuple(batches), table, names[0]))
    return found


def mark_withheld(table: str, rows: pl.DataFrame, withheld: Sequence[Withheld]) -> pl.DataFrame:
    """`rows` with `withheld_by`: the position in `withheld` of the first entry of another table that holds a row back, or null."""
    if table not in (*BAR_TABLES, *SIGHTED):
        return rows.with_columns(withheld_by=pl.lit(None, pl.Int64))
    day = "session_date" if table in BAR_TABLES else "valid_from"
    entries = [(w.session, batch, position) for position, w in enumerate(withheld) if w.table != table for batch in w.batches]
    keys = pl.DataFrame(entries, schema={day: pl.Date, "batch_id": pl.String, "withheld_by": pl.Int64}, orient="row")
    keys = keys.unique([day, "batch_id"], keep="first", maintain_order=True)
    return rows.join(keys, on=[day, "batch_id"], how="left", maintain_order="left")
