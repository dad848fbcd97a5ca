"""Why a scan did not judge an instrument, or did not issue its signal.

Lives here: `left_out`, which looks at what a scan of few moments left behind in its database.
Does not live here: the scan (`runner.py`), what a scanner's text looks back on (`scanners/look_back.py`), the rule on prices (macro
`issued_signals`).

A scanner leaves an instrument out by giving no row; it does not say why. The reasons are therefore found from the same inputs, the
first that holds in a stated order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import polars as pl

from pipelines.scanners.look_back import LookBack, look_back
from pipelines.scanners.registry import CompiledScanners, Scanner

LEFT_OUT: dict[str, pl.DataType | type[pl.DataType]] = {
    "scanner_name": pl.String,
    "instrument_id": pl.String,
    "symbol": pl.String,
    "as_of_ts": pl.Datetime("us", "UTC"),
    "reason": pl.String,
}
_REFUSED = {
    "no_entry_price": "signal refused: its entry is no price above zero",
    "stop_on_wrong_side": "signal refused: its stop lies on the winning side of the entry",
    "stop_at_entry": "signal refused: its stop lies within 0.1 % of the entry",
}
#: Sessions with minutes that scanners want, unless parameters say otherwise, to know what is usual by a minute, and of how many.
_LEAST_SESSIONS, _USUAL_SESSIONS = 10, 20


def left_out(connection: duckdb.DuckDBPyConnection, compiled: CompiledScanners, scanners: Iterable[Scanner]) -> pl.DataFrame:
    """Instruments of the universes that the last scan did not judge, or whose signal it refused; columns of `LEFT_OUT`.

    connection: to the database of that scan, in UTC.
    """
    chosen = {scanner.name: scanner for scanner in scanners}
    backs = {name: look_back(compiled, scanner) for name, scanner in chosen.items()}
    reaches = sorted({back.sessions for back in backs.values() if back.regular})
    used = sorted({name for back in backs.values() for name in back.indicators})
    facts = connection.sql(_facts(list(chosen), reaches, used)).pl()
    rows = []
    for row in facts.iter_rows(named=True):
        scanner = chosen[row["scanner_name"]]
        reason = _today(row, scanner) or _before(row, scanner, backs[scanner.name]) or "its inputs do not suffice for the rule"
        rows.append((scanner.name, row["instrument_id"], row["symbol"], row["as_of_ts"], reason))
    return pl.DataFrame(rows, schema=LEFT_OUT, orient="row").sort("scanner_name", "symbol", "instrument_id", "as_of_ts")


def _today(row: Mapping[str, Any], scanner: Scanner) -> str:
    """What of the session itself keeps the instrument out."""
    intraday, day = scanner.evaluates == "intraday", row["session_date"]
    by_minutes = intraday or row["is_within_session"]
    cases = {
        _REFUSED.get(row["refused_for"], ""): row["refused_for"] is not None,
        f"no bar in the {_USUAL_SESSIONS} sessions before {day}": not row["in_universe"],
        "trade-to-trade series: what is bought there cannot be sold the same day": intraday and not row["is_intraday_allowed"],
        f"{day} is a session of kind {row['kind']}; the scanner judges regular ones": intraday and row["kind"] != "regular",
        f"no one-minute bar of {day} by then": by_minutes and not row["minutes"],
        f"no daily bar of {day}": not by_minutes and not row["has_day"],
    }
    return next((reason for reason, holds in cases.items() if holds), "")


def _before(row: Mapping[str, Any], scanner: Scanner, back: LookBack) -> str:
    """What of the sessions before keeps it out."""
    day, usual = row["session_date"], row["usual_sessions"] or 0
    counted = back.sessions if back.regular else 0
    missing = counted - (row[f"there_{counted}"] or 0) if counted else 0
    start, first = (row[f"starts_{counted}"] if counted else None), row["first_bar"]
    young = f"; the first bar is of {first}" if start and first and start < first else ""
    unknown = next((name for name in back.indicators if row[f"known_{name}"] is None), "")
    reach = max(back.sessions, _USUAL_SESSIONS if scanner.evaluates == "intraday" else 1)
    cases = {
        f"the ratio of its {row['broken_by']} of {row['broken_on']} is unknown: prices before and after do not compare": (
            row["broken_ago"] is not None and row["broken_ago"] <= reach
        ),
        f"minutes of {usual} of the {_USUAL_SESSIONS} regular sessions before": back.usual and usual < _LEAST_SESSIONS,
        f"no daily bar of the session before {day}": back.sessions == 1 and not row["has_previous"],
        f"{unknown} is not known after {row['bars_seen'] or 0} bars": bool(unknown),
        f"{missing} of the {counted} regular sessions before have no bar{young}": missing > 0,
    }
    return next((reason for reason, holds in cases.items() if holds), "")


def _facts(names: Sequence[str], reaches: Sequence[int], indicators: Sequence[str]) -> str:
    """Each instrument that was expected and has no row, or a refused one, with what there is of it."""
    listed = ", ".join(f"('{name}')" for name in names)
    there = "".join(f", count(*) filter (where ago between 1 and {reach}) as there_{reach}" for reach in reaches)
    starts = "".join(f", min(session_date) filter (where ago = {reach}) as starts_{reach}" for reach in reaches)
    known = "".join(f", arg_max({name}, ind.session_date) as known_{name}" for name in indicators)
    return _FACTS.format(listed=listed, there=there, starts=starts, known=known)


_FACTS = """
with chosen(scanner_name) as (values {listed}), moments as (
    select as_of_ts, session_date, session_number, regular_before, kind, opens_at, closes_at, scanners from scan.moments
), expected as (
    select scanner_name, as_of_ts, instrument_id, symbol, is_intraday_allowed, true as in_universe
    from scan.universe as universe inner join chosen on universe.scanners is null or list_contains(universe.scanners, scanner_name)
    union all
    select chosen.scanner_name, moments.as_of_ts, members.instrument_id, listed.symbol, true, false
    from chosen
    inner join scan.chosen_universes as universes on chosen.scanner_name = universes.scanner_name
    inner join moments on moments.scanners is null or list_contains(moments.scanners, chosen.scanner_name)
    inner join intermediate.int_universe_members as members
        on members.universe_name = universes.universe_name and members.session_date = moments.session_date
    inner join lake.instruments as listed on listed.instrument_id = members.instrument_id
        and moments.session_date between listed.valid_from and coalesce(listed.valid_to, date '9999-12-31')
    anti join scan.universe as universe
        on universe.as_of_ts = moments.as_of_ts and universe.instrument_id = members.instrument_id
        and (universe.scanners is null or list_contains(universe.scanners, chosen.scanner_name))
), evaluated as (
    select scanner_name, ts, instrument_id, refused_for from intermediate.int_scanner_evaluations
), missing as (
    select expected.*, evaluated.refused_for
    from expected left join evaluated
        on expected.scanner_name = evaluated.scanner_name and expected.as_of_ts = evaluated.ts
        and expected.instrument_id = evaluated.instrument_id
    where evaluated.instrument_id is null or evaluated.refused_for is not null
), looked_at as (
    select distinct as_of_ts, instrument_id from missing
), days as (
    select
        looked_at.as_of_ts, looked_at.instrument_id, bool_or(bars.session_date = moments.session_date) as has_day,
        bool_or(sessions.session_number = moments.session_number - 1) as has_previous,
        min(bars.session_date) as first_bar{there}
    from looked_at inner join moments using (as_of_ts)
    inner join lake.bars_daily as bars on bars.instrument_id = looked_at.instrument_id and bars.session_date <= moments.session_date
    inner join lake.sessions as sessions on sessions.session_date = bars.session_date,
    lateral (select case when sessions.kind = 'regular' then moments.regular_before - sessions.regular_before end as ago)
    group by all
), calendars as (
    select as_of_ts{starts}
    from (
        select moments.as_of_ts, sessions.session_date, moments.regular_before - sessions.regular_before as ago
        from moments inner join lake.sessions as sessions
            on sessions.kind = 'regular' and sessions.session_date <= moments.session_date
    )
    group by all
), minutes as (
    select looked_at.as_of_ts, looked_at.instrument_id, count(*) as minutes
    from looked_at inner join moments using (as_of_ts)
    inner join lake.bars_1m as bars on bars.instrument_id = looked_at.instrument_id and bars.session_date = moments.session_date
        and bars.ts + interval 1 minute <= moments.as_of_ts
    group by all
), usual as (
    select looked_at.as_of_ts, looked_at.instrument_id, max(profiles.sessions) as usual_sessions
    from looked_at inner join moments using (as_of_ts)
    inner join intermediate.int_intraday_profiles_known as profiles
        on profiles.instrument_id = looked_at.instrument_id and profiles.session_date = moments.session_date
    group by all
), broken as (
    select
        looked_at.as_of_ts, looked_at.instrument_id, max(actions.ex_date) as broken_on,
        arg_max(actions.action, actions.ex_date) as broken_by,
        moments.session_number - max(sessions.session_number) as broken_ago
    from looked_at inner join moments using (as_of_ts)
    inner join lake.corporate_actions as actions
        on actions.instrument_id = looked_at.instrument_id and actions.ex_date <= moments.session_date
    asof inner join lake.sessions as sessions on actions.ex_date <= sessions.session_date
    where actions.action in ('split', 'bonus', 'capital_reduction', 'demerger', 'rights') and not coalesce(actions.ratio > 0, false)
    group by looked_at.as_of_ts, looked_at.instrument_id, moments.session_number
), indicators as (
    select looked_at.as_of_ts, looked_at.instrument_id, max(ind.bars_seen) as bars_seen{known}
    from looked_at inner join moments using (as_of_ts)
    inner join lake.indicators_daily as ind on ind.instrument_id = looked_at.instrument_id
        and ind.session_date <= moments.session_date
        and (ind.session_date < moments.session_date or moments.as_of_ts >= moments.closes_at)
    group by all
)
select
    missing.*, moments.session_date, moments.kind, moments.as_of_ts < moments.closes_at as is_within_session,
    days.* exclude (as_of_ts, instrument_id) replace (coalesce(days.has_day, false) as has_day),
    calendars.* exclude (as_of_ts), minutes.minutes, usual.usual_sessions,
    broken.* exclude (as_of_ts, instrument_id), indicators.* exclude (as_of_ts, instrument_id)
from missing inner join moments using (as_of_ts)
left join days using (as_of_ts, instrument_id)
left join calendars using (as_of_ts)
left join minutes using (as_of_ts, instrument_id)
left join usual using (as_of_ts, instrument_id)
left join broken using (as_of_ts, instrument_id)
left join indicators using (as_of_ts, instrument_id)
"""
