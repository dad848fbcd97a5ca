"""Running compiled scanner SQL in this process: the same texts as the nightly build, for one moment.

Lives here: `ScanInputs`, `ScanEngine` and `run_scanners`.
Does not live here: reading the inputs from the lake or a feed, deciding when to scan (`live/`), compiling (`project.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from types import TracebackType
from typing import Self

import duckdb
import polars as pl

from pipelines.indicators.tables import INDICATORS_DAILY
from pipelines.market.tables.bars import INTRADAY_CURVES, INTRADAY_PROFILES
from pipelines.market.tables.scanning import SCANNER_RUNS, SCANNER_SIGNALS
from pipelines.scanners.project import create_lake_schema, lake_schemas
from pipelines.scanners.registry import CompiledScanners, Scanner, UnknownScannerError
from pipelines.scanners.universes import MEMBERS, RULES

#: Relations that a run is given instead of computing them: moments, parameters, and what a nightly build computes by kernels.
_KERNELS = ("indicators_daily", "intraday_curves", "intraday_profiles")
_GIVEN = frozenset({"scan.moments", "scan.params", "scan.chosen_universes", *(f"indicators.{name}" for name in _KERNELS)})
_RESULTS = {"marts.scanner_signals": SCANNER_SIGNALS, "marts.scanner_runs": SCANNER_RUNS}
_UNIVERSES = {"universe_members": MEMBERS, "universe_rules": RULES}
_MINUTES = "exchange, instrument_id, session_date, ts, symbol, open, high, low, close, volume, known_at"


class NoSessionError(ValueError):
    """The moment lies in no session of the calendar given."""


@dataclass(frozen=True)
class ScanInputs:
    """What a scan may see, as frames with the columns of the lake tables of the same names (more columns do no harm).

    Give whole or cut history: sessions, daily bars and indicators a year and a half back (scanners look back 252 regular
    sessions), minutes of the moment's session and its intraday profiles. Where there are no profiles they are made of the curves
    of the sessions before, or of their minutes. Rows that lie after the moment are never read. All of one exchange.
    """

    sessions: pl.DataFrame
    instruments: pl.DataFrame
    bars_daily: pl.DataFrame
    bars_1m: pl.DataFrame = field(default_factory=pl.DataFrame)
    corporate_actions: pl.DataFrame = field(default_factory=pl.DataFrame)
    indicators_daily: pl.DataFrame = field(default_factory=pl.DataFrame)
    intraday_profiles: pl.DataFrame = field(default_factory=pl.DataFrame)
    intraday_curves: pl.DataFrame = field(default_factory=pl.DataFrame)
    universe_members: pl.DataFrame = field(default_factory=pl.DataFrame)
    universe_rules: pl.DataFrame = field(default_factory=pl.DataFrame)


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
        for statement in _OWN_SCHEMAS:
            self._connection.execute(statement)
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
        self._connection.execute(f"delete from {_place(table)}")
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
        self._set_moments(asked, chosen)
        self._set_parameters(parameters or {})
        self._connection.execute("delete from scan.chosen_universes")
        looked_at = [(scanner.name, universe or scanner.universe) for scanner in self._compiled.scanners.values()]
        self._connection.executemany("insert into scan.chosen_universes values (?, ?)", looked_at)
        self._set_profiles()
        self._make(list(_RESULTS))
        signals, runs = (self._read(relation, names) for relation in _RESULTS)
        return ScanResult(signals, runs.with_columns(mode=pl.lit(mode)))

    def _decide(self, relation: str, scanner: str) -> None:
        """Let a scanner in Python make its rows, as the build does."""
        from pipelines.scanners.plugins import python_scanner
        from pipelines.scanners.python_scanner import build_rows

        self._connection.register("rows_made", build_rows(python_scanner(scanner), self._connection))
        self._connection.execute(f"create or replace table {relation} as from rows_made")
        self._connection.unregister("rows_made")

    def _set_moments(self, asked: Sequence[tuple[datetime, Sequence[str]]], chosen: Mapping[str, Scanner]) -> None:
        self._connection.execute("delete from scan.moments")
        self._connection.execute("delete from given.asked")
        for moment, scanners in asked:
            if moment.tzinfo is None:
                raise ValueError(f"moment {moment} has no time zone; give an aware one")
            finished = [name for name in scanners if chosen[name].evaluates == "closed_daily"]
            forming = [name for name in scanners if name not in finished]
            self._connection.execute("insert into given.asked values (?, ?, ?)", [moment, forming, finished])
        self._connection.execute(_MOMENTS)
        first, last = self._connection.execute("select min(session_date), max(session_date) from scan.moments").fetchall()[0]
        if last is None:
            raise NoSessionError(f"no session had opened by {max(asked)[0].isoformat()}; check the moment and the calendar given")
        self._connection.execute("delete from lake.window_daily")
        # Of no instrument: the sessions are those to look back from, but nothing given is to be taken for outdated.
        self._connection.execute("insert into lake.window_daily values ('', ?, ?, ?)", [first, last, last])
        self._set_curves(max(asked)[0], last)

    def _set_curves(self, moment: datetime, session: date) -> None:
        """Curves of the moment's session from the minutes that had ended by then; of sessions before, from whatever was given."""
        earlier = self._connection.sql(
            f"select {_MINUTES} from lake.bars_1m as bars where session_date < ? and not exists "
            "(select 1 from given.intraday_curves as curves where curves.session_date = bars.session_date)",
            params=[session],
        ).pl()
        if earlier.height:
            self._insert_into("given.intraday_curves", self._curves(earlier))
        today = self._connection.sql(
            f"select {_MINUTES} from lake.bars_1m where session_date = ? and ts + interval 1 minute <= ?", params=[session, moment]
        ).pl()
        self._connection.execute("delete from lake.intraday_curves")
        self._connection.execute("insert into lake.intraday_curves from given.intraday_curves where session_date < ?", [session])
        if today.height:
            self._insert_into("lake.intraday_curves", self._curves(today))

    def _set_profiles(self) -> None:
        """Profiles of the moments' sessions: those given, the others made of the curves of the sessions before."""
        self._connection.execute("delete from lake.intraday_profiles")
        self._connection.execute(
            "insert into lake.intraday_profiles from given.intraday_profiles "
            "where session_date in (select session_date from scan.moments)"
        )
        missing = self._connection.execute(
            "select distinct session_date from scan.moments "
            "where session_date not in (select session_date from lake.intraday_profiles)"
        ).fetchall()
        if missing and self._connection.execute("select count(*) from lake.intraday_curves").fetchall()[0][0]:
            from pipelines.indicators.profiles import profiles_of  # numba

            self._make(["staging.stg_sessions", "intermediate.int_intraday_curves_known", "intermediate.int_basis_spans"])
            made = profiles_of(self._connection, [row[0] for row in missing])
            self._insert_into("lake.intraday_profiles", made)

    def _make(self, relations: list[str]) -> None:
        """Carry out the compiled models behind these relations."""
        for model in self._compiled.needed(relations, _GIVEN):
            schema = model.relation.split(".")[0]
            kind = "table" if model.materialized == "table" else "view"
            self._connection.execute(f"create schema if not exists {schema}")
            if model.python:
                self._decide(model.relation, model.python)
            else:
                self._connection.execute(f"create or replace {kind} {model.relation} as {model.sql}")

    def _curves(self, minutes: pl.DataFrame) -> pl.DataFrame:
        from pipelines.indicators.curves import intraday_curves  # numba

        hours = self._connection.sql("select session_date, opens_at, closes_at from lake.sessions").pl()
        return intraday_curves(minutes, hours)

    def _set_parameters(self, overrides: Mapping[str, Mapping[str, object]]) -> None:
        unknown = sorted(set(overrides) - set(self._compiled.scanners))
        if unknown:
            raise UnknownScannerError(f"parameters for unknown scanners: {', '.join(unknown)}")
        rows = [
            (scanner.name, name, None, value) if isinstance(value, str) else (scanner.name, name, value, None)
            for scanner in self._compiled.scanners.values()
            for name, value in scanner.values(overrides.get(scanner.name)).items()
        ]
        self._connection.execute("delete from scan.params")
        if rows:
            self._connection.executemany("insert into scan.params values (?, ?, ?, ?)", rows)

    def _insert(self, table: str, rows: pl.DataFrame) -> None:
        known = list(_UNIVERSES[table]) if table in _UNIVERSES else lake_schemas()[table].names
        names = [name for name in rows.columns if name in known]
        missing = sorted(_REQUIRED[table] - set(names))
        if missing:
            raise ValueError(f"{table}: the frame lacks {', '.join(missing)}")
        self._insert_into(_place(table), rows.select(names))

    def _insert_into(self, relation: str, rows: pl.DataFrame) -> None:
        self._connection.register("incoming", rows.to_arrow())
        self._connection.execute(f"insert into {relation} by name select * from incoming")
        self._connection.unregister("incoming")

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


def _place(table: str) -> str:
    """Where an input lies: curves and profiles apart from those that a moment may see, since later ones must not be."""
    return f"given.{table}" if table in {"intraday_curves", "intraday_profiles"} else f"lake.{table}"


_OWN_SCHEMAS = (
    "create schema scan",
    "create table scan.moments (as_of_ts timestamptz, exchange varchar, session_date date, session_number bigint, "
    "regular_before bigint, kind varchar, opens_at timestamptz, closes_at timestamptz, minute_of_session bigint, "
    "scanners varchar[])",
    "create table scan.chosen_universes (scanner_name varchar, universe_name varchar)",
    "create table scan.params (scanner_name varchar, name varchar, value double, choice varchar)",
    "create schema given",
    "create table given.asked (moment timestamptz, forming varchar[], finished varchar[])",
    *(f"create table given.{name} as from lake.{name} limit 0" for name in ("intraday_curves", "intraday_profiles")),
    # Nothing is built here, so what a build would have made of the window is empty.
    "create schema indicators",
    *(f"create view indicators.{name} as select * from lake.{name} limit 0" for name in _KERNELS),
)

#: The session that is open at the moment, else the close before it; for scanners of finished sessions always the latter.
_MOMENTS = """
insert into scan.moments
with latest as (
    select sessions.*, least(asked.moment, sessions.closes_at) as as_of_ts, asked.forming as scanners
    from given.asked as asked asof inner join lake.sessions as sessions on asked.moment >= sessions.opens_at
), closed as (
    select sessions.*, sessions.closes_at as as_of_ts, asked.finished as scanners
    from given.asked as asked asof inner join lake.sessions as sessions on asked.moment >= sessions.closes_at
), either as (
    select * from latest where len(scanners) > 0 union all select * from closed where len(scanners) > 0
)
select
    as_of_ts, exchange, session_date, session_number, regular_before, kind, opens_at, closes_at,
    date_diff('minute', opens_at, as_of_ts), list_sort(list_distinct(flatten(list(scanners))))
from either
group by all
"""

_BAR = {"exchange", "instrument_id", "session_date", "symbol", "open", "high", "low", "close", "volume", "known_at"}
_REQUIRED: Mapping[str, set[str]] = {
    "sessions": {
        "exchange",
        "session_date",
        "session_number",
        "opens_at",
        "closes_at",
        "bars_expected",
        "kind",
        "midnight_at",
        "regular_before",
    },
    "instruments": {"exchange", "instrument_id", "symbol", "valid_from", "is_active"},
    "bars_daily": _BAR,
    "bars_1m": {*_BAR, "ts"},
    "corporate_actions": {"exchange", "instrument_id", "ex_date", "action", "ratio", "known_at"},
    "indicators_daily": {name for name in INDICATORS_DAILY.names if name != "session_year"},
    "intraday_curves": set(INTRADAY_CURVES.names),
    "universe_members": set(MEMBERS),
    "universe_rules": set(RULES),
    "intraday_profiles": set(INTRADAY_PROFILES.names),
}
