"""Running compiled scanner SQL in this process: the same texts as the nightly build, for one moment.

Lives here: `ScanInputs`, `ScanEngine` and `run_scanners`.
Does not live here: reading the inputs from the lake or a feed, deciding when to scan (`live/`), compiling (`project.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import TracebackType
from typing import Self

import duckdb
import polars as pl

from pipelines.indicators.tables import INDICATORS_DAILY
from pipelines.market.tables.scanning import SCANNER_RUNS, SCANNER_SIGNALS
from pipelines.scanners.project import create_lake_schema, lake_schemas
from pipelines.scanners.registry import CompiledScanners, Scanner, UnknownScannerError

#: Relations that a run is given instead of computing them: the moment, the parameters, and indicators (already in lake.*).
_GIVEN = frozenset({"scan.moments", "scan.params", "indicators.indicators_daily"})
_RESULTS = {"marts.scanner_signals": SCANNER_SIGNALS, "marts.scanner_runs": SCANNER_RUNS}


class NoSessionError(ValueError):
    """The moment lies in no session of the calendar given."""


@dataclass(frozen=True)
class ScanInputs:
    """What a scan may see, as frames with the columns of the lake tables of the same names (more columns do no harm).

    Give whole or cut history: sessions one year back, daily bars and indicators as far back as the scanners look (20 sessions
    for the built-in one, 252 at most), minutes of the session and, for volume profiles, of the 20 before. Rows that lie after
    the moment are never read. All of one exchange.
    """

    sessions: pl.DataFrame
    instruments: pl.DataFrame
    bars_daily: pl.DataFrame
    bars_1m: pl.DataFrame = field(default_factory=pl.DataFrame)
    corporate_actions: pl.DataFrame = field(default_factory=pl.DataFrame)
    indicators_daily: pl.DataFrame = field(default_factory=pl.DataFrame)


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
        self._connection = duckdb.connect(":memory:")
        create_lake_schema(self._connection)
        for entry in fields(inputs):
            self.replace(entry.name, getattr(inputs, entry.name))

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
        names = [entry.name for entry in fields(ScanInputs)]
        if table not in names:
            raise KeyError(f"{table} is no input of a scan; inputs are {', '.join(names)}")
        self._connection.execute(f"delete from lake.{table}")
        if rows.width:
            self._insert(table, rows)

    def append(self, table: str, rows: pl.DataFrame) -> None:
        """Add rows to an input, for example the minutes that have just closed."""
        if rows.height:
            self._insert(table, rows)

    def run(
        self,
        moment: datetime,
        scanners: Sequence[str] = (),
        parameters: Mapping[str, Mapping[str, float]] | None = None,
        mode: str = "live",
    ) -> ScanResult:
        """Scan as of `moment` (aware) with the named scanners (all when none is named).

        A bar counts when it has ended by then, the daily bar when the session has closed. `parameters` overrides defaults by
        scanner. Raises NoSessionError, UnknownScannerError, ValueError.
        """
        chosen = [self._compiled.scanner(name) for name in scanners] or list(self._compiled.scanners.values())
        self._set_moment(moment)
        self._set_parameters(parameters or {})
        for model in self._compiled.needed(list(_RESULTS), _GIVEN):
            schema = model.relation.split(".")[0]
            kind = "table" if model.materialized == "table" else "view"
            self._connection.execute(f"create schema if not exists {schema}")
            self._connection.execute(f"create or replace {kind} {model.relation} as {model.sql}")
        signals, runs = (self._read(relation, chosen) for relation in _RESULTS)
        return ScanResult(signals, runs.with_columns(mode=pl.lit(mode)))

    def _set_moment(self, moment: datetime) -> None:
        if moment.tzinfo is None:
            raise ValueError(f"moment {moment} has no time zone; give an aware one")
        self._connection.execute("create schema if not exists scan")
        # A session's moments run from its open to the next one's, so that a scan after the close still sees that day.
        self._connection.execute(
            "create or replace table scan.moments as "
            "select ?::timestamptz as as_of_ts, exchange, session_date, session_number, opens_at, closes_at from lake.sessions "
            "where opens_at <= ?::timestamptz order by session_number desc limit 1",
            [moment, moment],
        )
        found = self._connection.execute("select session_date from scan.moments").fetchall()
        if not found:
            raise NoSessionError(f"no session had opened by {moment.isoformat()}; check the moment and the calendar given")
        self._connection.execute("delete from lake.window_daily")
        self._connection.execute(
            "insert into lake.window_daily select distinct instrument_id, ?::date, ?::date, ?::date from lake.instruments",
            [found[0][0]] * 3,
        )

    def _set_parameters(self, overrides: Mapping[str, Mapping[str, float]]) -> None:
        unknown = sorted(set(overrides) - set(self._compiled.scanners))
        if unknown:
            raise UnknownScannerError(f"parameters for unknown scanners: {', '.join(unknown)}")
        rows = [
            (scanner.name, name, value)
            for scanner in self._compiled.scanners.values()
            for name, value in scanner.values(overrides.get(scanner.name)).items()
        ]
        self._connection.execute("create or replace table scan.params (scanner_name varchar, name varchar, value double)")
        if rows:
            self._connection.executemany("insert into scan.params values (?, ?, ?)", rows)
        self._connection.execute("create schema if not exists indicators")
        # Nothing is built here, so what a build would have made of the window is empty.
        self._connection.execute(
            "create or replace view indicators.indicators_daily as select * from lake.indicators_daily limit 0"
        )

    def _insert(self, table: str, rows: pl.DataFrame) -> None:
        schema = lake_schemas()[table]
        names = [name for name in rows.columns if name in schema.names]
        missing = sorted(_REQUIRED[table] - set(names))
        if missing:
            raise ValueError(f"{table}: the frame lacks {', '.join(missing)}")
        self._connection.register("incoming", rows.select(names).to_arrow())
        self._connection.execute(f"insert into lake.{table} by name select * from incoming")
        self._connection.unregister("incoming")

    def _read(self, relation: str, scanners: Sequence[Scanner]) -> pl.DataFrame:
        names = [scanner.name for scanner in scanners]
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


_BAR = {"exchange", "instrument_id", "session_date", "symbol", "open", "high", "low", "close", "volume", "known_at"}
_REQUIRED: Mapping[str, set[str]] = {
    "sessions": {"exchange", "session_date", "session_number", "opens_at", "closes_at", "bars_expected", "kind"},
    "instruments": {"exchange", "instrument_id", "symbol", "valid_from", "is_active"},
    "bars_daily": _BAR,
    "bars_1m": {*_BAR, "ts"},
    "corporate_actions": {"exchange", "instrument_id", "ex_date", "action", "ratio", "known_at"},
    "indicators_daily": {name for name in INDICATORS_DAILY.names if name != "session_year"},
}
