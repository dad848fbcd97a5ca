"""A catalogue as it was known at a moment: rows that had arrived by then and had not been replaced yet.

Lives here: how each relation of a catalogue is answered or refused, and the temporary views that stand before its relations for one
connection.
Does not live here: keeping replaced rows (`upsert.py`), releases, which pin what was built from them (`releases.py`).

The answer is one of rows, not of file versions: it holds after files were compacted or vacuumed, and for a delivery that came
before the lake existed. Views of the catalogue that read these relations, the adjusted ones say, follow without more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum, auto

import duckdb

from pipelines.market.schema import TableSchema
from pipelines.market.tables.views import LATEST_ROWS
from pipelines.storage.catalogue import newest_rows
from pipelines.storage.query import NotAQueryError
from pipelines.storage.relations import literal, quoted


class Answer(Enum):
    """How a relation is answered as of a moment."""

    BELIEVED = auto()  # rows that had arrived, with those replaced only later in place of what replaced them
    REPLACED = auto()  # replaced rows, from the time at which they were replaced
    ARRIVED = auto()  # rows are only ever added; a column says when
    VALUES_SINCE = auto()  # rows whose values have been the same since; those that changed later are left out
    NEWEST = auto()  # the last rows of another relation as of the moment
    FOLLOWS = auto()  # a view of answered relations
    TIMELESS = auto()  # does not depend on what is known
    COMPUTED = auto()  # refused: computed from what is known now, and not kept as it was
    OVERWRITTEN = auto()  # refused: rows are replaced and the old ones are not kept


_BELIEVED = (
    "bars_daily",
    "bars_other_series",
    "bars_1m",
    "bars_1m_extended",
    "corporate_actions",
    "instruments",
    "instrument_aliases",
    "scanner_signals",
)
_COMPUTED = (
    *("indicator_state_daily", "indicator_state_1m", "intraday_curves", "intraday_profiles", "scanner_runs", "signals_live"),
    *("market_regime", "confluence", "signal_outcomes", "scanner_performance"),
    *("backtest_runs", "backtest_trades", "backtest_equity", "backtest_trials", "backtest_trial_months", "risk_var"),
    *("backtest_verdicts", "scoreboard"),
    *("data_quality_metrics", "price_flags", "minute_reconciliation"),
)
#: When rows arrived, of tables whose rows are only ever added.
_ARRIVED = {"raw_files": "received_at", "quarantine": "quarantined_at", "releases": "created_at", "bars_1m_live": "known_at"}
#: Columns that are filled in later, with the column that says when.
_FILLED_LATER = {"quarantine": ("released_at", ("released_at", "decided_by", "decision", "overruled"))}

#: How every relation of a catalogue is answered. One that is not listed is refused.
ANSWERS: Mapping[str, Answer] = {
    **dict.fromkeys(_BELIEVED, Answer.BELIEVED),
    **dict.fromkeys((f"{name}_superseded" for name in _BELIEVED), Answer.REPLACED),
    **dict.fromkeys(_ARRIVED, Answer.ARRIVED),
    **dict.fromkeys(("indicators_daily", "indicators_1m"), Answer.VALUES_SINCE),
    **dict.fromkeys((f"{name}_latest" for name in LATEST_ROWS), Answer.NEWEST),
    **dict.fromkeys(("price_factors", "bars_daily_adjusted", "indicators_daily_adjusted"), Answer.FOLLOWS),
    "sessions": Answer.TIMELESS,
    **dict.fromkeys(_COMPUTED, Answer.COMPUTED),
}
_INSTEAD = "ask the release of that time (marketlake sql --release)"
_REFUSALS: Mapping[Answer | None, str] = {
    Answer.COMPUTED: "is computed, and not kept as it was at a moment",
    Answer.OVERWRITTEN: "does not keep the rows that were replaced",
    None: "has no answer as of a moment",
}


def show_as_of(connection: duckdb.DuckDBPyConnection, moment: datetime, schemas: Mapping[str, TableSchema]) -> None:
    """Let every query of this connection see the catalogue as known at `moment` (aware). `schemas`: those of its tables.

    A relation that cannot be shown so is refused: a query that reads it ends with an error that says which release to ask instead.
    """
    at = f"TIMESTAMPTZ {literal(moment.astimezone(UTC).isoformat())}"
    database = _database(connection)
    # The newest rows are read from relations as of the moment.
    for name in sorted(relations(connection), key=lambda relation: ANSWERS.get(relation) is Answer.NEWEST):
        answer = ANSWERS.get(name)
        stored = f"{quoted(database)}.main."
        if answer in _REFUSALS:
            _refuse(connection, name, f"{name} {_REFUSALS[answer]}: {_INSTEAD}")
        elif answer not in (Answer.FOLLOWS, Answer.TIMELESS):
            connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS {_shown(stored, name, answer, at, schemas)}")


def relations(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of all tables and views of the catalogue."""
    return [
        name
        for (name,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT internal UNION ALL "
            "SELECT view_name FROM duckdb_views() WHERE database_name = current_database() AND NOT internal ORDER BY 1"
        ).fetchall()
    ]


def refusal_in(message: str) -> str | None:
    """The refusal of a relation in DuckDB's error about a query that reads it; None where the error is another one."""
    found = re.search(rf"Table with name (.*?{re.escape(_INSTEAD)})", message)
    return found.group(1) if found else None


def refuse_stored(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise NotAQueryError for a query that names the catalogue itself, and would read past what was known then."""
    database = _database(connection)
    if re.search(rf'{re.escape(database)}"?\s*\.', query, re.IGNORECASE):
        raise NotAQueryError(f"with --as-of, name tables without {database}: only so are they answered as of the moment")


def _shown(stored: str, name: str, answer: Answer | None, at: str, schemas: Mapping[str, TableSchema]) -> str:
    table = f"{stored}{quoted(name)}"
    if answer is Answer.BELIEVED:
        return _believed(stored, schemas[name], at)
    if answer is Answer.REPLACED:
        return f"SELECT * FROM {table} WHERE superseded_at <= {at}"
    if answer is Answer.ARRIVED:
        since, names = _FILLED_LATER.get(name, ("", ()))
        later = ", ".join(f"CASE WHEN {since} <= {at} THEN {column} END AS {column}" for column in names)
        return f"SELECT *{f' REPLACE ({later})' if later else ''} FROM {table} WHERE {_ARRIVED[name]} <= {at}"
    if answer is Answer.VALUES_SINCE:
        return f"SELECT * FROM {table} WHERE known_at <= {at}"
    return newest_rows(name.removesuffix("_latest"))


def _refuse(connection: duckdb.DuckDBPyConnection, name: str, refusal: str) -> None:
    """Make every query that names the relation fail while it is bound, for want of a table called like the refusal.

    A condition that raises would be left out where a query's own conditions leave no row.
    """
    connection.execute(f"CREATE TEMP TABLE {quoted(refusal)} (refused BOOLEAN)")
    connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM {quoted(refusal)}")
    connection.execute(f"DROP TABLE {quoted(refusal)}")


def _believed(stored: str, schema: TableSchema, at: str) -> str:
    table, replaced = (f"{stored}{quoted(name)}" for name in (schema.name, f"{schema.name}_superseded"))
    columns = ", ".join(quoted(column) for column in schema.names)
    current = f"SELECT {columns} FROM {table} WHERE known_at <= {at}"
    before = f"SELECT {columns} FROM {replaced} WHERE known_at <= {at} AND superseded_at > {at}"
    if schema.name != "scanner_signals":
        return f"{current} UNION ALL {before}"
    # A signal keeps the time at which it was first issued, whatever takes its place: what was believed comes first. What replaced
    # it was not known then.
    then = ", ".join("NULL::VARCHAR AS superseded_by" if c == "superseded_by" else quoted(c) for c in schema.names)
    before = (
        f"SELECT {then} FROM {replaced} WHERE known_at <= {at} AND superseded_at > {at} "
        "QUALIFY row_number() OVER (PARTITION BY signal_id ORDER BY superseded_at) = 1"
    )
    return f"WITH before AS ({before}) {current} AND signal_id NOT IN (SELECT signal_id FROM before) UNION ALL SELECT * FROM before"


def _database(connection: duckdb.DuckDBPyConnection) -> str:
    ((name,),) = connection.execute("SELECT current_database()").fetchall()
    return str(name)
