"""The track record of a night: outcomes of what is new, figures of everything.

Lives here: which outcomes have to be found again, reading what they stand on from the lake, storing the two tables.
Does not live here: outcomes and figures themselves (beside this module).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.backtest.exchange_costs import CostSettings, class_numbers, has_tables, tables_fingerprint
from pipelines.backtest.instrument_class import EQUITY, classify
from pipelines.backtest.rules import FillRules
from pipelines.backtest.signal_performance.charges import charges
from pipelines.backtest.signal_performance.market import HORIZONS, LONGEST, build_market
from pipelines.backtest.signal_performance.outcomes import ENTRY_SESSIONS, signal_outcomes
from pipelines.backtest.signal_performance.performance import NEEDED, ScannerId, scanner_performance
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.package_data import code_version
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import LakeTable, PartitionValue, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.step_records import StepRecord, hash_heads
from pipelines.storage.upsert import replace_rows

#: Columns of the bars that outcomes are found on.
_BARS = ["instrument_id", "session_date", "open", "high", "low", "close", "prev_close", "series", "volume"]
_ACTIONS = ["instrument_id", "ex_date", "action", "ratio", "amount", "successor_id"]
_FLAGS = ["instrument_id", "session_date", "flag"]
_MINUTES = ["instrument_id", "ts", "open", "high", "low", "close"]
#: Calendar days before the first session in which 20 sessions and a halt lie: the universe looks back that far.
_BEFORE = timedelta(days=62)


@dataclass(frozen=True)
class TrackRecord:
    """What a night made: outcomes found (again), the first session of them, all figures, and the tables' versions."""

    outcomes: int
    since: date | None
    performance: pl.DataFrame
    versions: dict[str, int | None]


def update_track_record(
    lake: Lake,
    exchange: str,
    versions: Mapping[str, int],
    touched: tuple[date, date] | None,
    scanners: Mapping[str, ScannerId],
    *,
    record: StepRecord,
    costs: CostSettings,
    fills: FillRules | None = None,
) -> TrackRecord:
    """Find the outcomes that the night can have changed, and count all of them anew.

    versions: pinned versions of the lake tables. touched: first and last session of the build, None when it built nothing. An
    outcome follows from the bars and actions between the signal's session and the end of the longest horizon, so that everything
    earlier than that before the first touched session stands, but for exits that had to wait into it. record: of what the figures
    were counted last. fills: what limits them; the defaults unless given. Where the rules or the costs are others than those
    that the stored outcomes were found by, all are found anew.
    """
    outcomes, performance = TABLES["signal_outcomes"], TABLES["scanner_performance"]
    days = traded_calendar(lake, exchange, versions)
    fills = fills or FillRules()
    rules = _rules(exchange, costs, fills)
    stored = LakeTable(lake.table_uri(exchange, outcomes.name), outcomes)
    signals = LakeTable(lake.table_uri(exchange, "scanner_signals"), TABLES["scanner_signals"])
    classes = _classes(lake, exchange, versions)
    known = stored.version() is not None and _made_by(stored) == rules and not _reclassed(stored, classes)
    since = (_first_affected(days, touched[0], stored) if touched else None) if known else date.min
    found = 0
    if since is not None and "scanner_signals" in versions:
        rows = signals.read(versions["scanner_signals"], None if since == date.min else _years(since, touched))
        rows = rows.filter((pl.col("session_date") >= since) & pl.col("superseded_by").is_null())
        fresh = _outcomes(lake, days, versions, rows, costs, classes, fills)
        found = fresh.height
        years = None if since == date.min else _years(since, touched)
        everything: list[PartitionValue] = sorted({*stored.partition_values(), *fresh.get_column("session_year").unique()})
        replace_rows(
            lake,
            exchange,
            outcomes,
            fresh,
            lambda before: before.get_column("session_date") >= since,
            everything if years is None else years,
            {"rules": rules},
        )
        crash_point("research.committed")
    counted = LakeTable(lake.table_uri(exchange, performance.name), performance)
    made_of = _made_of(rules, hash_heads(lake, exchange, [outcomes.name]), scanners, days)
    version = counted.version()
    if version is not None and record.holds(made_of, hash_heads(lake, exchange, [performance.name])):
        made = counted.read(version)
    else:
        made = scanner_performance(stored.read(columns=NEEDED), scanners, {exchange: days})
        version = replace_rows(lake, exchange, performance, made, _of_exchange(exchange), None, {"rules": rules})
        crash_point("research.committed")
        # Beside the table: equal figures of other code make no version that could say so.
        record.write(made_of, hash_heads(lake, exchange, [performance.name]))
    done = {outcomes.name: stored.version(), performance.name: version}
    return TrackRecord(found, None if since == date.min else since, made, done)


def _rules(exchange: str, costs: CostSettings, fills: FillRules) -> str:
    inputs = {
        "exchange": exchange,
        "costs": asdict(costs),
        "tables": tables_fingerprint(exchange),
        "horizons": HORIZONS,
        "entry_sessions": ENTRY_SESSIONS,
        "locked_move": fills.locked_move,
        "delisting_haircut": fills.delisting_haircut,
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def _made_of(rules: str, outcomes: str, scanners: Mapping[str, ScannerId], days: ExchangeCalendar) -> str:
    """Everything that figures follow from: with the same of it they need not be counted again."""
    identities = {name: asdict(scanner) for name, scanner in scanners.items()}
    sessions = [(str(session.session_date), session.kind) for session in days.sessions]
    inputs = [code_version(), rules, outcomes, identities, sessions]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def _of_exchange(exchange: str) -> Callable[[pl.DataFrame], pl.Series]:
    return lambda before: before.get_column("exchange") == exchange


def _classes(lake: Lake, exchange: str, versions: Mapping[str, int]) -> dict[str, str]:
    """Class of statutory charges by instrument_id; empty where the exchange has none."""
    instruments = _read(lake, exchange, versions, "instruments", None, ["instrument_id", "symbol", "isin"])
    return {name: found.name for name, found in classify(exchange, instruments).items()}


def _reclassed(stored: LakeTable, classes: Mapping[str, str]) -> bool:
    """Whether an instrument with stored outcomes is charged by other lines now, since its ISIN or ticker became known."""
    charged = stored.read(columns=["instrument_id", "cost_class"], verify=False).drop_nulls().unique()
    return any(classes.get(instrument, EQUITY) != kind for instrument, kind in charged.iter_rows())


def _made_by(table: LakeTable) -> str | None:
    """The rules that the newest commit of outcomes was made by."""
    return next((str(entry["rules"]) for entry in table.scan_versions() if "rules" in entry), None)


def _first_affected(days: ExchangeCalendar, touched: date, stored: LakeTable) -> date:
    """The first session whose signals were still held, or waited for their entry, in the touched one or at the end of the bars."""
    rows = stored.read(columns=["session_date", "status", "is_over", "exit_ts"], verify=False)
    waiting = (pl.col("status") == "open") | ((pl.col("status") == "finished") & ~pl.col("is_over"))
    # An exit that nobody took at the horizon's end came later than the longest horizon says.
    waiting |= pl.col("exit_ts").dt.date() >= touched
    oldest = rows.filter(waiting).get_column("session_date").min()
    regular = [s.session_date for s in days.sessions if s.session_date < touched and s.kind == "regular"]
    held = regular[-HORIZONS[LONGEST] - ENTRY_SESSIONS - 1 :][:1] or [touched]
    return min(held[0], oldest) if isinstance(oldest, date) else held[0]


def _years(first: date, touched: tuple[date, date] | None) -> list[PartitionValue]:
    return list(range(first.year, (touched[1] if touched else first).year + 1))


def _outcomes(
    lake: Lake,
    days: ExchangeCalendar,
    versions: Mapping[str, int],
    signals: pl.DataFrame,
    costs: CostSettings,
    classes: Mapping[str, str],
    fills: FillRules,
) -> pl.DataFrame:
    if signals.is_empty():
        return empty_frame(TABLES["signal_outcomes"])
    exchange = days.exchange.mic
    first: date = signals.get_column("session_date").min()  # type: ignore[assignment]
    sessions = days.frame()
    newest = sessions.get_column("session_date").max()
    assert isinstance(newest, date)
    years: list[PartitionValue] = list(range((first - _BEFORE).year, newest.year + 1))
    bars = _read(lake, exchange, versions, "bars_daily", years, _BARS).filter(pl.col("session_date") >= first - _BEFORE)
    actions = _read(lake, exchange, versions, "corporate_actions", None, _ACTIONS)
    flags = _read(lake, exchange, versions, "price_flags", years, _FLAGS)
    market = build_market(bars, actions, sessions, flags, locked_move=fills.locked_move, delisting_haircut=fills.delisting_haircut)
    found = signal_outcomes(
        market,
        signals,
        lambda session: _read(lake, exchange, versions, "bars_1m", [session], _MINUTES),
        charges(exchange, market.dates, costs, class_numbers(market.instruments, classes)),
    )
    kind = pl.col("instrument_id").replace_strict(classes, default=EQUITY, return_dtype=pl.String)
    return found.with_columns(cost_class=kind) if has_tables(exchange) else found


def _read(
    lake: Lake,
    exchange: str,
    versions: Mapping[str, int],
    name: str,
    partitions: list[PartitionValue] | None,
    columns: list[str],
) -> pl.DataFrame:
    schema: TableSchema = TABLES[name]
    if name not in versions:
        return empty_frame(schema).select(columns)
    return LakeTable(lake.table_uri(exchange, name), schema).read(versions[name], partitions, columns)
