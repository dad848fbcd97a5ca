"""Compiled models, carried out in a database in memory.

Lives here: `ModelExecutor`: in which order, as table or view, one at a time or two.
Does not live here: what the models read (`scan_database.py`), which a scan needs (`runner.py`), their texts
(`scanners/registry.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from threading import Lock

import duckdb

from pipelines.market.tables.scanning import SCANNER_SIGNALS
from pipelines.scanners.registry import CompiledModel, CompiledScanners
from pipelines.storage.relations import sql_type

#: Read by several scanners: as of a few moments they are worked out once, over many they would not fit.
_SHARED = frozenset(
    f"scan.{name}"
    for name in ("universe", "day_so_far", "intraday_so_far", "opening_ranges", "unadjusted_actions", "volume_profile")
) | {"intermediate.int_basis_spans"}
_AT_A_TIME = 2

#: What the macro signal_rows asks of a scanner's inputs, and the same of no input.
_KNOWN_AT = re.compile(r"/\* known_at of inputs \*/.*?/\* end of known_at \*/", re.DOTALL)
_ALL_KNOWN = (
    "select null::timestamptz as input_as_of_ts, null::varchar as input_instrument_id, null::timestamptz as input_known_at "
    "where false"
)

#: What a scanner gives back: a signal without what the marts add to it.
_ADDED = ("signal_id", "scanner_name", "scanner_version", "superseded_by", "session_year")
_ROW = ", ".join(f"{column.name} {sql_type(column.type)}" for column in SCANNER_SIGNALS.columns if column.name not in _ADDED)


class ModelExecutor:
    """Makes relations of compiled models, again and again; views and parsed texts are kept between."""

    def __init__(self, compiled: CompiledScanners, connection: duckdb.DuckDBPyConnection) -> None:
        self._compiled = compiled
        self._connection = connection
        self._kinds: dict[str, str] = {}
        self._statements: dict[str, duckdb.Statement] = {}
        self._empty: set[str] = set()
        self._all_known = False
        #: Functions of other people's packages need not bear another thread beside them.
        self._functions = Lock()

    def make(self, relations: list[str], given: frozenset[str], *, is_short: bool, all_known: bool = False) -> None:
        """Carry out the models behind these relations, up to those that are `given`. is_short: for a few moments only.

        all_known: every input was known by the moments, so that no signal's known_at is later than its moment. Then nobody asks.
        """
        self._all_known = all_known
        models = {model.relation: model for model in self._compiled.needed(relations, given)}
        for schema in sorted({relation.split(".")[0] for relation in models}):
            self._connection.execute(f"create schema if not exists {schema}")
        if is_short:
            self._side_by_side(models)
        else:
            for model in models.values():
                self._carry_out(model, self._connection, frozenset())

    def leave_out(self, relations: frozenset[str]) -> None:
        """Put empty relations where scanners would have put their rows."""
        for relation in sorted(relations - self._empty):
            self._connection.execute(f"create schema if not exists {relation.split('.')[0]}")
            self._connection.execute(f"create or replace table {relation} ({_ROW})")
            self._empty.add(relation)

    def _side_by_side(self, models: Mapping[str, CompiledModel]) -> None:
        """Over few rows a statement is mostly planned, by one thread: two go on at a time, each after what it reads."""
        order = TopologicalSorter({name: sorted(model.reads & models.keys()) for name, model in models.items()})
        order.prepare()
        free = [self._connection.cursor() for _ in range(_AT_A_TIME)]
        for cursor in free:
            cursor.execute("set TimeZone = 'UTC'")
        ready: list[str] = []
        running: dict[Future[None], tuple[str, duckdb.DuckDBPyConnection]] = {}
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            while order.is_active():
                ready.extend(order.get_ready())
                while ready and free:
                    name, cursor = ready.pop(0), free.pop()
                    running[pool.submit(self._carry_out, models[name], cursor, _SHARED)] = (name, cursor)
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    name, cursor = running.pop(done)
                    done.result()
                    order.done(name)
                    free.append(cursor)

    def _carry_out(self, model: CompiledModel, connection: duckdb.DuckDBPyConnection, tables: frozenset[str]) -> None:
        kind = "table" if model.materialized == "table" or model.relation in tables else "view"
        before = self._kinds.get(model.relation)
        # A view is a text over names: made once, it serves every run.
        if kind == before == "view":
            return
        if before and before != kind:
            connection.execute(f"drop {before} {model.relation}")
        if model.python:
            with self._functions:
                _decide(model.relation, model.python, connection)
        else:
            sql = _KNOWN_AT.sub(_ALL_KNOWN, model.sql) if self._all_known else model.sql
            connection.execute(self._parsed(f"create or replace {kind} {model.relation} as {sql}", connection))
        self._kinds[model.relation] = kind
        self._empty.discard(model.relation)

    def _parsed(self, text: str, connection: duckdb.DuckDBPyConnection) -> duckdb.Statement:
        """Read once: of a long text over few rows that is a tenth of the price."""
        if text not in self._statements:
            self._statements[text] = connection.extract_statements(text)[0]
        return self._statements[text]


def _decide(relation: str, scanner: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Let a scanner in Python make its rows, as the build does."""
    from pipelines.scanners.engine.python_scanner import build_rows
    from pipelines.scanners.extensions.plugins import python_scanner

    connection.register("rows_made", build_rows(python_scanner(scanner), connection))
    connection.execute(f"create or replace table {relation} as from rows_made")
    connection.unregister("rows_made")
