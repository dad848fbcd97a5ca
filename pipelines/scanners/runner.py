"""Running compiled scanner SQL in this process: the same texts as the nightly build, for one moment.

Lives here: `ScanEngine` and `run_scanners`.
Does not live here: inputs (`inputs.py`) and their database (`scan_database.py`), when to scan (`live/`), compiling (`project.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import TracebackType
from typing import Self

import polars as pl

from pipelines.market.tables.scanning import SCANNER_RUNS, SCANNER_SIGNALS
from pipelines.scanners.inputs import ScanInputs
from pipelines.scanners.registry import CompiledScanners, UnknownScannerError
from pipelines.scanners.scan_database import GIVEN, NoSessionError, ScanDatabase
from pipelines.storage.relations import sql_type

__all__ = ["NoSessionError", "ScanEngine", "ScanInputs", "ScanResult", "empty_run", "run_scanners"]

_RESULTS = {"marts.scanner_signals": SCANNER_SIGNALS, "marts.scanner_runs": SCANNER_RUNS}

#: Read by most scanners: as of a few moments they are worked out once, over many they would not fit.
_SHARED = frozenset(f"scan.{name}" for name in ("universe", "day_so_far", "bars_closed", "unadjusted_actions", "volume_profile"))
_FEW = 3
#: What a scanner gives back: a signal without what the marts add to it.
_ADDED = ("signal_id", "scanner_name", "scanner_version", "superseded_by", "session_year")
_ROW = ", ".join(f"{column.name} {sql_type(column.type)}" for column in SCANNER_SIGNALS.columns if column.name not in _ADDED)


@dataclass(frozen=True)
class ScanResult:
    """Signals (columns of `scanner_signals`) and one row per scanner of what was covered (`scanner_runs`)."""

    signals: pl.DataFrame
    runs: pl.DataFrame


class ScanEngine:
    """An in-memory database that holds inputs and scans them at one moment after another.

    >>> with ScanEngine(load_scanners(manifest), inputs) as engine:
    ...     engine.run(moment)
    """

    def __init__(self, compiled: CompiledScanners, inputs: ScanInputs) -> None:
        self._compiled = compiled
        self._database = ScanDatabase(inputs)
        self._connection = self._database.connection
        self._kinds: dict[str, str] = {}
        self._is_short = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free the database."""
        self._connection.close()

    def replace(self, table: str, rows: pl.DataFrame) -> None:
        """Replace an input: minutes grow during a session, the rest stays. KeyError when it is no input.

        ValueError when the frame lacks a column that may not be missing.
        """
        self._database.replace(table, rows)

    def append(self, table: str, rows: pl.DataFrame) -> None:
        """Add rows to an input, for example the minutes that have just closed."""
        self._database.append(table, rows)

    def run(
        self,
        moment: datetime,
        scanners: Sequence[str] = (),
        parameters: Mapping[str, Mapping[str, object]] | None = None,
        mode: str = "live",
        universe: str | None = None,
    ) -> ScanResult:
        """Scan as of `moment` (aware) with the named scanners (all when none is named).

        A bar counts when it has ended by then, the daily bar when the session has closed. Outside a session, and for scanners of
        finished sessions, the moment is the close before it. `parameters` overrides defaults by scanner, `universe` the one that
        each scanner declares (one that the inputs do not hold is empty). Raises NoSessionError, UnknownScannerError, ValueError.
        """
        chosen = scanners or list(self._compiled.scanners)
        return self.run_at([(moment, chosen)], parameters, mode, universe)

    def run_at(
        self,
        asked: Sequence[tuple[datetime, Sequence[str]]],
        parameters: Mapping[str, Mapping[str, object]] | None = None,
        mode: str = "live",
        universe: str | None = None,
    ) -> ScanResult:
        """Scan at several moments at once, each with its own scanners: the same rows as one `run` after another, for one price."""
        names = sorted({name for _, scanners in asked for name in scanners})
        chosen = {name: self._compiled.scanner(name) for name in names}
        self._database.set_moments(asked, chosen)
        self._is_short = len(asked) <= _FEW
        self._database.set_parameters(self._parameters(parameters or {}))
        self._database.set_universes([(s.name, universe or s.universe) for s in self._compiled.scanners.values()])
        self._database.set_profiles(self._make)
        self._make(list(_RESULTS), self._left_out(names))
        signals, runs = (self._read(relation, names) for relation in _RESULTS)
        return ScanResult(signals, runs.with_columns(mode=pl.lit(mode)))

    def query(self, sql: str) -> pl.DataFrame:
        """Rows of a query on the scan's database as the last run left it: schemas lake, scan, scanners, marts."""
        return self._connection.sql(sql).pl()

    def _left_out(self, names: Sequence[str]) -> frozenset[str]:
        """Empty relations in place of the scanners that are not asked for: marts are made of all of them."""
        relations = {scanner.relation for scanner in self._compiled.scanners.values() if scanner.name not in names}
        for relation in sorted(relations):
            self._connection.execute(f"create schema if not exists {relation.split('.')[0]}")
            self._connection.execute(f"create or replace table {relation} ({_ROW})")
        return frozenset(relations)

    def _decide(self, relation: str, scanner: str) -> None:
        """Let a scanner in Python make its rows, as the build does."""
        from pipelines.scanners.plugins import python_scanner
        from pipelines.scanners.python_scanner import build_rows

        self._connection.register("rows_made", build_rows(python_scanner(scanner), self._connection))
        self._connection.execute(f"create or replace table {relation} as from rows_made")
        self._connection.unregister("rows_made")

    def _make(self, relations: list[str], made: frozenset[str] = frozenset()) -> None:
        """Carry out the compiled models behind these relations, apart from those that are `made`."""
        for model in self._compiled.needed(relations, GIVEN | made):
            kind = "table" if model.materialized == "table" or (self._is_short and model.relation in _SHARED) else "view"
            before = self._kinds.get(model.relation)
            # A view is a text over names: made once, it serves every run.
            if kind == before == "view":
                continue
            if before and before != kind:
                self._connection.execute(f"drop {before} {model.relation}")
            self._connection.execute(f"create schema if not exists {model.relation.split('.')[0]}")
            if model.python:
                self._decide(model.relation, model.python)
            else:
                self._connection.execute(f"create or replace {kind} {model.relation} as {model.sql}")
            self._kinds[model.relation] = kind

    def _parameters(self, overrides: Mapping[str, Mapping[str, object]]) -> list[tuple[str, str, float | None, str | None]]:
        unknown = sorted(set(overrides) - set(self._compiled.scanners))
        if unknown:
            raise UnknownScannerError(f"parameters for unknown scanners: {', '.join(unknown)}")
        return [
            (scanner.name, name, None, value) if isinstance(value, str) else (scanner.name, name, value, None)
            for scanner in self._compiled.scanners.values()
            for name, value in scanner.values(overrides.get(scanner.name)).items()
        ]

    def _read(self, relation: str, names: Sequence[str]) -> pl.DataFrame:
        columns = ", ".join(_RESULTS[relation].names)
        return self._connection.sql(f"select {columns} from {relation} where list_contains(?, scanner_name)", params=[names]).pl()


def run_scanners(
    compiled: CompiledScanners,
    inputs: ScanInputs,
    moment: datetime,
    scanners: Sequence[str] = (),
    parameters: Mapping[str, Mapping[str, float]] | None = None,
) -> pl.DataFrame:
    """Signals as of one moment, with the columns and bits that the nightly build gives for the same moment and inputs."""
    with ScanEngine(compiled, inputs) as engine:
        return engine.run(moment, scanners, parameters).signals


def empty_run(compiled: CompiledScanners) -> None:
    """Run every scanner at one close without any bar: what cannot run shows, in a second and without a lake."""
    from pipelines.market.calendar import calendar

    days = calendar("XNYS")
    last = days.between(date(2024, 1, 2), date(2024, 1, 31))[-1]
    sessions = days.frame().filter(pl.col("session_date") <= last.session_date)
    with ScanEngine(compiled, ScanInputs(sessions, pl.DataFrame(), pl.DataFrame())) as engine:
        engine.run(last.closes_at)
