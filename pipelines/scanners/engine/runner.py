"""Running compiled scanner SQL in this process: the same texts as the nightly build, for one moment.

Lives here: `ScanEngine` and `run_scanners`.
Does not live here: inputs (`inputs.py`) and their database (`scan_database.py`), carrying out the texts (`model_executor.py`),
when to scan (`live/`), compiling (`build/compile.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from types import TracebackType
from typing import Self

import polars as pl

from pipelines.market.tables.scanning import SCANNER_RUNS, SCANNER_SIGNALS
from pipelines.scanners.engine.exclusions import LEFT_OUT, left_out
from pipelines.scanners.engine.inputs import ScanInputs
from pipelines.scanners.engine.model_executor import ModelExecutor
from pipelines.scanners.engine.scan_database import GIVEN, NoSessionError, ScanDatabase
from pipelines.scanners.engine.standing_signals import event_scanners, minutes_since_open, still_holding
from pipelines.scanners.registry import CompiledScanners, Scanner, UnknownScannerError

__all__ = ["NoSessionError", "ScanEngine", "ScanInputs", "ScanResult", "empty_run", "run_scanners"]

#: The marts of a scan, each with its order of rows.
_RESULTS = {
    "marts.scanner_signals": (SCANNER_SIGNALS, ["session_date", "scanner_name", "instrument_id", "ts", "signal_id"]),
    "marts.scanner_runs": (SCANNER_RUNS, ["session_date", "scanner_name", "as_of_ts"]),
}

#: As of so many moments a scan is short: planning its statements is dearer than their rows.
_FEW = 8

#: Follow from the days before alone: whatever moment of a session is looked from, they are the same.
_OF_DAYS = frozenset(f"intermediate.{name}" for name in ("int_bars_daily_scope", "int_basis_spans", "int_suspected_actions"))

#: Of every scanner and parameter the value: a number or a word.
_Values = tuple[tuple[str, str, float | None, str | None], ...]


@dataclass(frozen=True)
class ScanResult:
    """Signals (columns of `scanner_signals`) and one row per scanner of what was covered (`scanner_runs`).

    left_out: where the engine was asked to explain, the instruments that were not judged or whose signal was refused, each with the
    reason (columns of `LEFT_OUT`).
    """

    signals: pl.DataFrame
    runs: pl.DataFrame
    left_out: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LEFT_OUT))


@dataclass(frozen=True)
class _Kept:
    """What scanners of finished sessions found at a close, and what they were asked."""

    close: datetime
    asked: tuple[tuple[str, ...], _Values, str | None]
    found: ScanResult


class ScanEngine:
    """An in-memory database that holds inputs and scans them at one moment after another.

    explain: say in the results of `run` and `run_as_of` why instruments were left out, which costs some queries more.

    >>> with ScanEngine(load_scanners(manifest), inputs) as engine:
    ...     engine.run(moment)
    """

    def __init__(self, compiled: CompiledScanners, inputs: ScanInputs, *, explain: bool = False) -> None:
        self._compiled = compiled
        self._explain = explain
        self._database = ScanDatabase(inputs, compiled.indicators)
        self._connection = self._database.connection
        self._maker = ModelExecutor(compiled, self._connection)
        self._given = {entry.name: getattr(inputs, entry.name) for entry in fields(inputs)}
        self._kept: _Kept | None = None
        self._days_of: tuple[date, date] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free the database."""
        self._connection.close()

    def give(self, inputs: ScanInputs) -> None:
        """Have these inputs, as a new engine would; a frame that is here already stays.

        Raises ValueError when a frame lacks a column that may not be missing.
        """
        for entry in fields(inputs):
            rows = getattr(inputs, entry.name)
            if self._given.get(entry.name) is not rows:
                self.replace(entry.name, rows)

    def replace(self, table: str, rows: pl.DataFrame) -> None:
        """Replace an input. KeyError when it is no input, ValueError when the frame lacks a column that may not be missing."""
        self._kept = self._days_of = None
        self._given.pop(table, None)
        self._database.replace(table, rows)
        self._given[table] = rows

    def append(self, table: str, rows: pl.DataFrame) -> None:
        """Add rows to an input, for example the minutes that have just closed."""
        self._given.pop(table, None)
        self._database.append(table, rows)
        if table != "bars_1m":
            self._kept = self._days_of = None
        elif self._kept and not rows.filter(pl.col("ts") < self._kept.close).is_empty():
            self._kept = None

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
        """Scan at several moments at once, each with its own scanners: the same rows as one `run` after another, for one price.

        While a session goes on, what scanners of finished ones find is worked out once and kept until an input changes.
        """
        names = sorted({name for _, scanners in asked for name in scanners})
        chosen = {name: self._compiled.scanner(name) for name in names}
        values = self._values(parameters or {})
        close = self._database.close_before(asked[0][0]) if len(asked) == 1 else None
        if close is None:
            found = [self._scan(asked, chosen, values, universe)]
        else:
            finished = {name: scanner for name, scanner in chosen.items() if scanner.evaluates == "closed_daily"}
            forming = {name: scanner for name, scanner in chosen.items() if name not in finished}
            found = [self._at_close(close, finished, values, universe)] if finished else []
            found += [self._scan([(asked[0][0], list(forming))], forming, values, universe)] if forming else []
        signals = pl.concat([part.signals for part in found]).sort(_RESULTS["marts.scanner_signals"][1])
        runs = pl.concat([part.runs for part in found]).sort(_RESULTS["marts.scanner_runs"][1])
        return ScanResult(signals, runs.with_columns(mode=pl.lit(mode)), pl.concat([part.left_out for part in found]))

    def run_as_of(
        self,
        moment: datetime,
        scanners: Sequence[str] = (),
        parameters: Mapping[str, Mapping[str, object]] | None = None,
        mode: str = "live",
        universe: str | None = None,
    ) -> ScanResult:
        """`run`, and the signals of events that were given since the open and still hold.

        These are the rows that history has for their own minutes, with their `ts` and ids; `runs` is about the moment alone. As of
        a moment at which a scanner covers too little, its earlier signals are withheld too.
        """
        now = self.run(moment, scanners, parameters, mode, universe)
        beyond = event_scanners(self._compiled.scanner(name) for name in scanners or self._compiled.scanners)
        opened, until = self._database.session_of(moment)
        minutes = minutes_since_open(opened, until) if beyond else []
        prices = self._database.last_prices(until)
        if not minutes or prices.is_empty():
            return now
        issuing = now.runs.filter(pl.col("status") != "withheld")["scanner_name"]
        earlier = self.run_at([(minute, sorted(beyond)) for minute in minutes], parameters, mode, universe).signals
        issued = earlier.filter(pl.col("scanner_name").is_in(issuing.to_list()))
        standing = still_holding(issued, prices, beyond)
        # What was found as of the moment itself has its place among the minutes.
        others = now.signals.filter(~pl.col("scanner_name").is_in(list(beyond)))
        return ScanResult(pl.concat([others, standing]).sort(_RESULTS["marts.scanner_signals"][1]), now.runs, now.left_out)

    def query(self, sql: str) -> pl.DataFrame:
        """Rows of a query on the scan's database as the last scan left it: schemas lake, scan, scanners, marts."""
        return self._connection.sql(sql).pl()

    def _at_close(self, close: datetime, chosen: Mapping[str, Scanner], values: _Values, universe: str | None) -> ScanResult:
        """What stands since the close, kept for the next moment of the session."""
        asked = (tuple(chosen), values, universe)
        if self._kept is None or (self._kept.close, self._kept.asked) != (close, asked):
            self._kept = _Kept(close, asked, self._scan([(close, list(chosen))], chosen, values, universe))
        return self._kept.found

    def _scan(
        self,
        asked: Sequence[tuple[datetime, Sequence[str]]],
        chosen: Mapping[str, Scanner],
        values: _Values,
        universe: str | None,
    ) -> ScanResult:
        is_short = len(asked) <= _FEW
        days = self._database.set_moments(asked, chosen)
        self._database.set_parameters(values)
        self._database.set_universes([(s.name, universe or s.universe) for s in self._compiled.scanners.values()])
        self._database.set_profiles(lambda relations: self._maker.make(relations, GIVEN, is_short=is_short))
        # Marts are made of all scanners.
        others = frozenset(s.relation for s in self._compiled.scanners.values() if s.name not in chosen)
        self._maker.leave_out(others)
        given = GIVEN | others | (_OF_DAYS if is_short and days == self._days_of else frozenset())
        self._days_of = None
        # Planning that question costs a short scan more than its rows do.
        all_known = is_short and self._database.all_known_by_moments()
        self._maker.make(list(_RESULTS), given, is_short=is_short, all_known=all_known)
        self._days_of = days if is_short else None
        signals, runs = (self._read(relation, list(chosen)) for relation in _RESULTS)
        if not (self._explain and len(asked) == 1):
            return ScanResult(signals, runs)
        return ScanResult(signals, runs, left_out(self._connection, self._compiled, chosen.values()))

    def _values(self, overrides: Mapping[str, Mapping[str, object]]) -> _Values:
        unknown = sorted(set(overrides) - set(self._compiled.scanners))
        if unknown:
            raise UnknownScannerError(f"parameters for unknown scanners: {', '.join(unknown)}")
        return tuple(
            (scanner.name, name, None, value) if isinstance(value, str) else (scanner.name, name, value, None)
            for scanner in self._compiled.scanners.values()
            for name, value in scanner.values(overrides.get(scanner.name)).items()
        )

    def _read(self, relation: str, names: Sequence[str]) -> pl.DataFrame:
        columns = ", ".join(_RESULTS[relation][0].names)
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


def empty_run(compiled: CompiledScanners, leave_out: Collection[str] = ()) -> None:
    """Run every scanner but some at one close without any bar: what cannot run shows, in a second and without a lake."""
    from pipelines.market.calendar import calendar

    days = calendar("XNYS", None)
    last = days.between(date(2024, 1, 2), date(2024, 1, 31))[-1]
    sessions = days.frame().filter(pl.col("session_date") <= last.session_date)
    with ScanEngine(compiled, ScanInputs(sessions, pl.DataFrame(), pl.DataFrame())) as engine:
        engine.run(last.closes_at, [name for name in compiled.scanners if name not in leave_out])
