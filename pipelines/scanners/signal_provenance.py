"""Where a signal comes from: its rule in words, what it stands on, and back to raw files and rows.

Lives here: finding a signal by its id, and following it back through bars and indicators to deliveries, checks and release.
Does not live here: following a single bar (`ingest/bar_provenance.py`), printing (`cli/explain.py`).
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from pipelines.indicators.tables import home_tables
from pipelines.ingest.bar_provenance import UnknownBarError, trace
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.scanners.look_back import INDICATOR_KEY, Reach, reach_of
from pipelines.scanners.registry import CompiledScanners, Scanner
from pipelines.scanners.signal_ids import parameters_hash, signal_id
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.raw import registered
from pipelines.storage.releases import Release, releases
from pipelines.storage.retention import read_retention

#: Where signals stand, in the order in which they are looked for.
_PLACES = ("scanner_signals", "signals_live", "scanner_signals_superseded")
_BAR = ("session_date", "open", "high", "low", "close", "volume", "known_at", "batch_id", "row_number")
_MINUTE = ("ts", *_BAR[1:])


class UnknownSignalError(ValueError):
    """No signal has this id, or several begin so. The message says which."""


@dataclass(frozen=True)
class FoundSignal:
    """A signal's row, its exchange, and the tables that hold it."""

    exchange: str
    row: dict[str, Any]
    places: tuple[str, ...]


def find_signal(lake: Lake, exchanges: Sequence[str], key: str) -> FoundSignal:
    """The signal whose id begins with `key`, current ones first. Raises UnknownSignalError for none or several."""
    wanted = key.strip().lower()
    found: dict[str, list[tuple[str, str]]] = {}
    for exchange in exchanges:
        for place in _PLACES:
            table = LakeTable(lake.table_uri(exchange, place), TABLES[place])
            ids = table.read(columns=["signal_id"]).get_column("signal_id")
            for known in ids.filter(ids.str.starts_with(wanted)).unique() if wanted else ():
                found.setdefault(known, []).append((exchange, place))
    if not found:
        raise UnknownSignalError(
            f"no signal of {', '.join(exchanges)} begins with {key!r}; "
            '`marketlake sql "select signal_id, symbol, ts from scanner_signals order by ts desc limit 5"` shows some'
        )
    if len(found) > 1:
        some = ", ".join(sorted(found)[:3])
        raise UnknownSignalError(f"{len(found)} signals begin with {key!r} ({some}, …): write more of the id")
    (full, held), *_ = found.items()
    exchange, place = held[0]
    table = LakeTable(lake.table_uri(exchange, place), TABLES[place])
    row = table.read().filter(pl.col("signal_id") == full).row(-1, named=True)
    return FoundSignal(exchange, row, tuple(name for _, name in held))


def explain_signal(lake: Lake, found: FoundSignal, compiled: CompiledScanners) -> dict[str, Any]:
    """Everything a signal stands on, as a document.

    standing: current, superseded or issued live. rule: in words with this signal's numbers. parameters. signal: the row. bars,
    minutes, indicators: rows in the scanner's look-back, each with batch and row number. raw_files: those behind them. checks: of
    the newest bar. release: the first that held the signal, and the latest. outcomes: what became of it.
    """
    row, exchange = found.row, found.exchange
    scanner = compiled.scanners.get(row["scanner_name"])
    reach = reach_of(compiled, scanner)
    bars, minutes, indicators = _inputs(lake, exchange, row, reach)
    return {
        "signal_id": row["signal_id"],
        "standing": _standing(found),
        "rule": in_words(scanner.rule, row) if scanner else f"{row['scanner_name']} is no scanner of this installation any more",
        "rule_version": _version_note(scanner, row),
        "parameters": _parameters(scanner, row),
        "signal": {name: value for name, value in row.items() if name not in {"signal_id", "details", "session_year"}},
        "details": json.loads(row["details"]),
        "look_back": f"{reach.sessions} {'regular ' if reach.regular else ''}sessions before {row['session_date']}",
        "minutes": minutes.to_dicts(),
        "bars": bars.to_dicts(),
        "indicators": indicators.to_dicts(),
        "raw_files": _raw_files(lake, exchange, (bars, minutes)),
        "checks": _checks(lake, exchange, row, bars, minutes),
        "outcomes": _outcomes(lake, exchange, row),
        "release": _release(lake, exchange, found),
    }


def rule_fields(rule: str) -> list[str]:
    """Names in braces of a rule."""
    return [name for _, name, _, _ in string.Formatter().parse(rule) if name]


def in_words(rule: str, row: Mapping[str, Any]) -> str:
    """A scanner's rule with the numbers of a signal's row and details; what neither has stays in braces."""
    known = {**{k: v for k, v in row.items() if k != "details"}, **json.loads(row["details"])}
    texts = {name: _spelled(known[name]) if known.get(name) is not None else f"{{{name}}}" for name in rule_fields(rule)}
    return re.sub(r"\{(\w+)\}", lambda match: texts[match[1]], rule)


def _spelled(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, list):
        return ", ".join(map(_spelled, value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _standing(found: FoundSignal) -> str:
    row, statements = found.row, []
    if "scanner_signals" in found.places:
        statements.append(f"superseded by {row['superseded_by']}" if row["superseded_by"] else "current")
    if "signals_live" in found.places:
        statements.append("issued live" if row.get("mode") is None else f"issued {row['mode']}")
    if "scanner_signals_superseded" in found.places and "scanner_signals" not in found.places:
        gone = f" ({row['superseded_at']:%Y-%m-%d %H:%M} UTC)" if row.get("superseded_at") else ""
        statements.append(f"superseded: a later build withdrew it{gone}")
    elif "scanner_signals_superseded" in found.places:
        statements.append("an earlier form of it was superseded")
    elif found.places == ("signals_live",):
        statements.append("no nightly build has it")
    return "; ".join(statements)


def _version_note(scanner: Scanner | None, row: Mapping[str, Any]) -> str:
    made = row["scanner_version"]
    if scanner is None or scanner.version == made:
        return str(made)
    return f"{made}; the rule shown here is that of version {scanner.version}"


def _parameters(scanner: Scanner | None, row: Mapping[str, Any]) -> dict[str, Any] | str:
    """The defaults, where the id follows from them; other values are not on record, only their hash within the id."""
    if scanner is None:
        return "not on record"
    values = scanner.values()
    identity = (row["scanner_name"], row["scanner_version"], parameters_hash(values), row["instrument_id"])
    if signal_id(*identity, row["session_date"], row["ts"], row["signal_type"]) == row["signal_id"]:
        return dict(values)
    return "other values than the defaults of today, given to the scan that issued it"


def _inputs(lake: Lake, exchange: str, row: Mapping[str, Any], reach: Reach) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Daily bars, minutes and indicator rows of the instrument in reach at the moment, newest first."""
    session, ts = row["session_date"], row["ts"]
    sessions = traded_calendar(lake, exchange)
    closes = sessions.session(session).closes_at
    days = reach.days(sessions, session)
    # Before its close a session has minutes, from then on a bar.
    has_closed = ts >= closes
    of_bars = pl.col("session_date").is_in(days) & (pl.lit(has_closed) | (pl.col("session_date") < session))
    own = (pl.col("instrument_id") == row["instrument_id"]) & of_bars
    years: list[PartitionValue] = sorted({day.year for day in days})
    bars = _rows(lake, exchange, TABLES["bars_daily"], own, years, _BAR)
    schema = home_tables(lake.indicators)["indicators_daily"]
    indicators = _rows(lake, exchange, schema, own, years if reach.indicators else [], [*INDICATOR_KEY, *reach.indicators])
    intraday = not has_closed or reach.minutes
    until = (pl.col("instrument_id") == row["instrument_id"]) & (pl.col("ts") + timedelta(minutes=1) <= ts)
    minutes = _rows(lake, exchange, TABLES["bars_1m"], until, [session] if intraday else [], _MINUTE)
    if minutes.is_empty() and intraday:
        minutes = _rows(lake, exchange, TABLES["bars_1m_live"], until, [session], _MINUTE)
    return bars, minutes, indicators


def _rows(
    lake: Lake, exchange: str, schema: TableSchema, chosen: pl.Expr, partitions: list[PartitionValue], columns: Iterable[str]
) -> pl.DataFrame:
    rows = LakeTable(lake.table_uri(exchange, schema.name), schema).read(partitions=partitions).filter(chosen)
    return rows.select(columns).sort("ts" if "ts" in rows.columns else "session_date", descending=True)


def _raw_files(lake: Lake, exchange: str, frames: Iterable[pl.DataFrame]) -> list[dict[str, Any]]:
    """The deliveries behind the rows, with how many rows of each and between which numbers."""
    used = pl.concat([frame.select("batch_id", "row_number") for frame in frames])
    counted = used.group_by("batch_id").agg(
        rows=pl.len(), first_row=pl.col("row_number").min(), last_row=pl.col("row_number").max()
    )
    deliveries = registered(lake, exchange).select("batch_id", "name", "content_hash", "source", "received_at")
    return counted.join(deliveries, on="batch_id", how="left").sort("name", "batch_id").to_dicts()


def _checks(lake: Lake, exchange: str, row: Mapping[str, Any], bars: pl.DataFrame, minutes: pl.DataFrame) -> dict[str, Any]:
    """What the newest bar passed before it was let in, and its row as received."""
    table, newest = ("bars_1m", minutes) if minutes.height else ("bars_daily", bars)
    if newest.is_empty():
        return {}
    when = newest.row(0)[0]
    text = when.isoformat() if isinstance(when, date) else str(when)
    try:
        found = trace(lake, exchange, table, row["instrument_id"], text)
    except UnknownBarError as error:
        return {"note": str(error)}
    return {"of": f"{table} {text}", **found["checks"], "line": found["raw_file"].get("line")}


def _outcomes(lake: Lake, exchange: str, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What became of it by horizon, as the newest track record has it."""
    schema = TABLES["signal_outcomes"]
    shown = ["horizon", "status", "entry_ts", "entry_price", "exit_ts", "exit_price", "exit_reason", "net_return", "base_rate"]
    table = LakeTable(lake.table_uri(exchange, schema.name), schema)
    rows = table.read(partitions=[row["session_date"].year], columns=["signal_id", *shown])
    return rows.filter(pl.col("signal_id") == row["signal_id"]).select(shown).to_dicts()


def _release(lake: Lake, exchange: str, found: FoundSignal) -> dict[str, Any]:
    """The first release that holds the signal and the latest that does, of those that have not expired."""
    place = "scanner_signals" if "scanner_signals_superseded" in found.places else found.places[0]
    table = LakeTable(lake.table_uri(exchange, place), TABLES[place])
    expired = read_retention(lake).expired
    known = [r for r in releases(lake) if place in r.versions(exchange) and r.release_id not in expired]
    partition: list[PartitionValue] = [found.row["session_date"].year]
    held: dict[int, bool] = {}

    def holds(release: Release) -> bool:
        version = release.versions(exchange)[place]
        if version not in held:
            ids = table.read(version, partition, ["signal_id"]).get_column("signal_id")
            held[version] = bool((ids == found.row["signal_id"]).any())
        return held[version]

    holding = [release for release in known if holds(release)]
    if not holding:
        return {"first": "none yet: `marketlake nightly` publishes one"}
    return {"first": holding[0].release_id, "released_at": holding[0].created_at, "latest": holding[-1].release_id}
