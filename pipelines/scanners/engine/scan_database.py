"""The in-memory database of a scan: its inputs, and what a nightly build would have prepared for the models.

Lives here: `ScanDatabase`, which takes frames and moments and puts them where the compiled models look.
Does not live here: the models and running them (`runner.py`), reading frames from the lake (`inputs.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any

import duckdb
import polars as pl

from pipelines.build.lake_schema import (
    FINDING_EFFECTS,
    UNIVERSE_MEMBERS,
    UNIVERSE_RULES,
    create_lake_schema,
    lake_schemas,
)
from pipelines.indicators.registry import Registry
from pipelines.market.tables.bars import INTRADAY_CURVES, INTRADAY_PROFILES
from pipelines.scanners.engine.inputs import ScanInputs
from pipelines.scanners.registry import Scanner

_KERNELS = ("indicators_daily", "intraday_curves", "intraday_profiles")

#: Relations that the database holds and no model has to make: moments, parameters, and what kernels compute. Nothing is built
#: here, so all that is known of the latter is what is given.
GIVEN = frozenset(
    {"scan.moments", "scan.params", "scan.chosen_universes", *(f"intermediate.int_{name}_known" for name in _KERNELS)}
)

_UNIVERSES: dict[str, dict[str, Any]] = {
    "universe_members": UNIVERSE_MEMBERS,
    "universe_rules": UNIVERSE_RULES,
    "finding_effects": FINDING_EFFECTS,
}
_MINUTES = "exchange, instrument_id, session_date, ts, symbol, open, high, low, close, volume, known_at"


class NoSessionError(ValueError):
    """The moment lies in no session of the calendar given."""


class ScanDatabase:
    """A database in memory with the relations of `GIVEN` and schema `lake`, as models expect them of a build.

    Close `connection` when done.
    """

    def __init__(self, inputs: ScanInputs, indicators: Registry) -> None:
        self.connection = duckdb.connect(":memory:")
        self._schemas = lake_schemas(indicators)
        create_lake_schema(self.connection, indicators)
        for statement in _OWN_SCHEMAS:
            self.connection.execute(statement)
        for entry in fields(inputs):
            self.replace(entry.name, getattr(inputs, entry.name))

    def replace(self, table: str, rows: pl.DataFrame) -> None:
        """Replace an input: minutes grow during a session, the rest stays. KeyError when it is no input.

        ValueError when the frame lacks a column that may not be missing.
        """
        names = [entry.name for entry in fields(ScanInputs)]
        if table not in names:
            raise KeyError(f"{table} is no input of a scan; inputs are {', '.join(names)}")
        self.connection.execute(f"delete from {_place(table)}")
        if rows.width:
            self._insert(table, rows)

    def append(self, table: str, rows: pl.DataFrame) -> None:
        """Add rows to an input, for example the minutes that have just closed."""
        if rows.height:
            self._insert(table, rows)

    def close_before(self, moment: datetime) -> datetime | None:
        """While a session goes on, the last close before it; else None. ValueError for a moment without a time zone."""
        _check(moment)
        ongoing = "exists (select 1 from lake.sessions where opens_at <= $moment and closes_at > $moment)"
        before = f"select max(closes_at) from lake.sessions where closes_at <= $moment and {ongoing}"
        found: datetime | None = self.connection.execute(before, {"moment": moment}).fetchall()[0][0]
        return found

    def session_of(self, moment: datetime) -> tuple[datetime, datetime]:
        """When the session that had opened last by the moment opened, and the moment or its close, whichever is earlier.

        Raises NoSessionError, or ValueError for a moment without a time zone.
        """
        _check(moment)
        latest = (
            "select opens_at, least(closes_at, $moment) from lake.sessions where opens_at <= $moment order by opens_at desc limit 1"
        )
        found: list[tuple[datetime, datetime]] = self.connection.execute(latest, {"moment": moment}).fetchall()
        if not found:
            raise NoSessionError(f"no session had opened by {moment.isoformat()}; check the moment and the calendar given")
        return found[0]

    def last_prices(self, moment: datetime) -> pl.DataFrame:
        """Each instrument's close of the last minute that had ended in the moment's session: instrument_id, last_price."""
        opened, until = self.session_of(moment)
        return self.connection.sql(
            "select instrument_id, arg_max(close, ts) as last_price from lake.bars_1m "
            "where ts >= ? and ts + interval 1 minute <= ? group by instrument_id",
            params=[opened, until],
        ).pl()

    def set_moments(self, asked: Sequence[tuple[datetime, Sequence[str]]], chosen: Mapping[str, Scanner]) -> tuple[date, date]:
        """Look from these moments, each for its scanners. Returns the first and the last session.

        Raises NoSessionError, or ValueError for a moment without a time zone.
        """
        self.connection.execute("delete from scan.moments")
        self.connection.execute("delete from given.asked")
        for moment, scanners in asked:
            _check(moment)
            finished = [name for name in scanners if chosen[name].evaluates == "closed_daily"]
            forming = [name for name in scanners if name not in finished]
            self.connection.execute("insert into given.asked values (?, ?, ?)", [moment, forming, finished])
        self.connection.execute(_MOMENTS)
        first, last = self.connection.execute("select min(session_date), max(session_date) from scan.moments").fetchall()[0]
        if last is None:
            raise NoSessionError(f"no session had opened by {max(asked)[0].isoformat()}; check the moment and the calendar given")
        self.connection.execute("delete from lake.window_daily")
        # Of no instrument: the sessions are those to look back from, but nothing given is to be taken for outdated.
        self.connection.execute("insert into lake.window_daily values ('', ?, ?, ?)", [first, last, last])
        self._set_curves(max(asked)[0], last)
        return first, last

    def _set_curves(self, moment: datetime, session: date) -> None:
        """Curves of the moment's session from the minutes that had ended by then; of sessions before, from whatever was given."""
        earlier = self.connection.sql(
            f"select {_MINUTES} from lake.bars_1m as bars where session_date < ? and not exists "
            "(select 1 from given.intraday_curves as curves where curves.session_date = bars.session_date)",
            params=[session],
        ).pl()
        if earlier.height:
            self._insert_into("given.intraday_curves", self._curves(earlier))
        today = self.connection.sql(
            f"select {_MINUTES} from lake.bars_1m where session_date = ? and ts + interval 1 minute <= ?", params=[session, moment]
        ).pl()
        self.connection.execute("delete from lake.intraday_curves")
        self.connection.execute("insert into lake.intraday_curves from given.intraday_curves where session_date < ?", [session])
        if today.height:
            self._insert_into("lake.intraday_curves", self._curves(today, until=moment))

    def set_profiles(self, make: Callable[[list[str]], None]) -> None:
        """Profiles of the moments' sessions: those given, the others made of the curves of the sessions before.

        make: carries out the models behind some relations.
        """
        self.connection.execute("delete from made.intraday_profiles")
        missing = self.connection.execute(
            "select distinct session_date from scan.moments "
            "where session_date not in (select session_date from given.intraday_profiles)"
        ).fetchall()
        if missing and self.connection.execute("select count(*) from lake.intraday_curves").fetchall()[0][0]:
            from pipelines.indicators.volume_profiles import profiles_of  # numba

            make(["staging.stg_sessions", "intermediate.int_basis_spans"])
            made = profiles_of(self.connection, [row[0] for row in missing])
            self._insert_into("made.intraday_profiles", made)

    def all_known_by_moments(self) -> bool:
        """Whether all that is given was known by the first moment; of minutes and their curves, those that had ended by then."""
        moment = self.connection.execute("select min(as_of_ts) from scan.moments").fetchall()[0][0]
        late = " union all ".join(f"select 1 from {table} where {condition}" for table, condition in _KNOWN_LATER.items())
        return not self.connection.execute(f"select exists ({late})", {"moment": moment}).fetchall()[0][0]

    def set_parameters(self, rows: Sequence[tuple[str, str, float | None, str | None]]) -> None:
        """Parameters as (scanner, name, number, word)."""
        self.connection.execute("delete from scan.params")
        self._insert_rows("scan.params", rows)

    def set_universes(self, rows: Sequence[tuple[str, str]]) -> None:
        """The universe of each scanner."""
        self.connection.execute("delete from scan.chosen_universes")
        self._insert_rows("scan.chosen_universes", rows)

    def _curves(self, minutes: pl.DataFrame, until: datetime | None = None) -> pl.DataFrame:
        """Curves of whole sessions, or as far as to the moment, since nobody looks further."""
        from pipelines.indicators.cumulative import intraday_curves  # numba

        hours = self.connection.sql("select session_date, opens_at, closes_at from lake.sessions").pl()
        if until is not None:
            hours = hours.with_columns(closes_at=pl.min_horizontal("closes_at", pl.lit(until).dt.cast_time_unit("us")))
        return intraday_curves(minutes, hours)

    def _insert(self, table: str, rows: pl.DataFrame) -> None:
        known = list(_UNIVERSES[table]) if table in _UNIVERSES else self._schemas[table].names
        names = [name for name in rows.columns if name in known]
        required = {*known} - {"session_year"} if table == "indicators_daily" else _REQUIRED[table]
        missing = sorted(required - set(names))
        if missing:
            raise ValueError(f"{table}: the frame lacks {', '.join(missing)}")
        self._insert_into(_place(table), rows.select(names))

    def _insert_rows(self, relation: str, rows: Sequence[tuple[object, ...]]) -> None:
        """As one statement: each costs more than its rows."""
        if rows:
            row = f"({', '.join('?' * len(rows[0]))})"
            self.connection.execute(f"insert into {relation} values {', '.join([row] * len(rows))}", [v for r in rows for v in r])

    def _insert_into(self, relation: str, rows: pl.DataFrame) -> None:
        self.connection.register("incoming", rows.to_arrow())
        self.connection.execute(f"insert into {relation} by name select * from incoming")
        self.connection.unregister("incoming")


def _check(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise ValueError(f"moment {moment} has no time zone; give an aware one")


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
    "create schema made",
    "create table made.intraday_profiles as from lake.intraday_profiles limit 0",
    "create schema intermediate",
    "create view intermediate.int_indicators_daily_known as from lake.indicators_daily",
    "create view intermediate.int_intraday_curves_known as from lake.intraday_curves",
    "create view intermediate.int_intraday_profiles_known as from given.intraday_profiles union all from made.intraday_profiles",
)

#: Rows of each input that became known after a moment.
_KNOWN_LATER: Mapping[str, str] = {
    **{f"lake.{table}": "known_at > $moment" for table in ("bars_daily", "corporate_actions", "indicators_daily")},
    **{f"{schema}.intraday_profiles": "known_at > $moment" for schema in ("given", "made")},
    "lake.bars_1m": "ts + interval 1 minute <= $moment and known_at > $moment",
    "lake.intraday_curves": "list_max(known_so_far) > $moment",
}

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
    "instruments": {"exchange", "instrument_id", "symbol", "valid_from"},
    "instrument_aliases": {"exchange", "instrument_id", "kind", "value", "valid_from"},
    "bars_daily": _BAR,
    "bars_1m": {*_BAR, "ts"},
    "corporate_actions": {"exchange", "instrument_id", "ex_date", "action", "ratio", "known_at"},
    "intraday_curves": set(INTRADAY_CURVES.names),
    "universe_members": set(UNIVERSE_MEMBERS),
    "universe_rules": set(UNIVERSE_RULES),
    "finding_effects": set(FINDING_EFFECTS),
    "intraday_profiles": set(INTRADAY_PROFILES.names),
}
