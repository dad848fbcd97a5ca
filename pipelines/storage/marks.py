"""Marks of suspected actions on the indicators of a catalogue.

Lives here: the SQL expression of the column `suspected_action` of `indicators_daily` and `indicators_1m`.
Does not live here: finding suspected actions (dbt mart `price_flags`), withholding signals across them (the scanners).

A recursive indicator never forgets an unrecorded split, so a row is marked from the step on until somebody decides. Nothing is
stored with the indicators: a decision takes the mark away with the next release. The release's suspects stand in the view as
constants: a join, of two rows or of none, would cost every query on a table of minutes many times what it reads.
"""

from __future__ import annotations

import duckdb

from pipelines.market.tables.quality import SUSPECTED_ACTIONS
from pipelines.storage.relations import literal

_SUSPECTS = f"""
SELECT instrument_id, list(DISTINCT session_date ORDER BY session_date DESC) AS sessions
FROM price_flags WHERE flag IN ({", ".join(map(literal, SUSPECTED_ACTIONS))})
GROUP BY instrument_id ORDER BY instrument_id
"""


def mark_expression(connection: duckdb.DuckDBPyConnection) -> str:
    """The session of the last suspected action up to a row, for a SELECT with `instrument_id` and `session_date`.

    The connection has the relation price_flags of the release.
    """
    suspects = connection.execute(_SUSPECTS).fetchall()
    if not suspects:
        return "NULL::DATE"
    # The newest session first: the first that is not after the row is the last one up to it.
    cases = " ".join(
        f"WHEN {literal(instrument)} THEN CASE "
        + " ".join(f"WHEN session_date >= DATE {literal(str(day))} THEN DATE {literal(str(day))}" for day in sessions)
        + " END"
        for instrument, sessions in suspects
    )
    return f"CASE instrument_id {cases} END"
