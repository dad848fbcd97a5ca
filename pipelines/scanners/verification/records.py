"""The record of a build, tried: sampled evaluation times of the past and those of its last session, scanned again one by one.

Lives here: `check_record`: which sessions, what is read of the lake for each, and what was repeated and what differs.
Does not live here: sampling (`sampling.py`), repeating (`reproducibility.py`), the Dagster checks
(`orchestration/checks/scanners.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.market.tables import TABLES
from pipelines.scanners.choices import ScanChoices
from pipelines.scanners.engine.inputs import NO_INPUTS, ScanInputs, read_inputs
from pipelines.scanners.engine.runner import ScanEngine
from pipelines.scanners.registry import CompiledScanners
from pipelines.scanners.verification.look_ahead import DIFFERENCES
from pipelines.scanners.verification.reproducibility import find_look_ahead, find_unreproduced, scans_to_repeat
from pipelines.scanners.verification.sampling import Asked, sampled_sessions, sampled_times
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: Most sessions of the past, of its last year, in which a scanner is tried after a build that was not of everything.
_SESSIONS_OF_A_NIGHT = 2
#: Evaluation times within a session of the past, and within the last one.
_TIMES, _TIMES_OF_LAST = 3, 2
_LAST_YEAR = timedelta(days=365)
#: Sessions after the one that is scanned: the future that must not matter.
_AHEAD = 3

_RUN = ["scanner_name", "session_date", "as_of_ts", "signals", "mode"]
_TRIED: dict[str, pl.DataType | type[pl.DataType]] = {"scanner_name": pl.String, "as_of_ts": pl.Datetime("us", "UTC")}


@dataclass(frozen=True)
class CheckedRecord:
    """What was scanned again and what differs from the record.

    repeated: scanner_name and as_of_ts of every scan on the inputs as they are; alone: of those also without their future and with
    another one. parity and look_ahead: the signals that differ (columns of `DIFFERENCES`).
    """

    repeated: pl.DataFrame
    alone: pl.DataFrame
    parity: pl.DataFrame
    look_ahead: pl.DataFrame


def sessions_to_check(
    lake: Lake, exchange: str, versions: Mapping[str, int], first: date, last: date, most: int, *, full: bool
) -> dict[date, list[str]]:
    """Sessions before `last` to scan again, each with its scanners. Reads of the record no more than the years it samples from.

    first, last: the sessions that were built; full: all of history was. most: how many after a full build; two at most otherwise.
    """
    if not most:
        return {}
    begin = first if full else last - _LAST_YEAR
    read = [_scanned(lake, exchange, versions, year) for year in range(begin.year, last.year + 1)]
    scanned = pl.concat(read).filter(pl.col("session_date").is_between(begin, last, closed="left"))
    return sampled_sessions(scanned, most if full else min(most, _SESSIONS_OF_A_NIGHT))


def check_record(
    lake: Lake,
    exchange: str,
    versions: Mapping[str, int],
    compiled: CompiledScanners,
    past: Mapping[date, Collection[str]],
    last: date,
    choices: ScanChoices,
) -> CheckedRecord:
    """Scan again sampled evaluation times of the sessions `past`, of their scanners, and of the session `last`, of all.

    versions: pinned versions by table, of inputs and record alike. choices: those that the record was made with.
    """
    checked = []
    # One engine for all: what it keeps are texts and views, and each input is replaced.
    with ScanEngine(compiled, NO_INPUTS) as engine:
        for session in [*past, last]:
            recorded, runs = (_of_session(lake, exchange, versions, name, session) for name in ("scanner_signals", "scanner_runs"))
            runs = runs.filter(mode="nightly")
            if session == last:
                # More of it is repeated on the inputs as they are: that is one scan, and what people look at next.
                repeated, alone = scans_to_repeat(runs), sampled_times(runs, _TIMES_OF_LAST)
            else:
                repeated = alone = sampled_times(runs.filter(pl.col("scanner_name").is_in(past[session])), _TIMES)
            inputs = _inputs(lake, exchange, versions, session, last, choices)
            checked.append(
                CheckedRecord(
                    _tried(repeated),
                    _tried(alone),
                    find_unreproduced(engine, inputs, recorded, repeated),
                    find_look_ahead(engine, inputs, recorded, alone),
                )
            )
    return CheckedRecord(
        *(pl.concat([getattr(part, name) for part in checked]) for name in ("repeated", "alone", "parity", "look_ahead"))
    )


def find_signals_ahead(
    lake: Lake,
    exchange: str,
    versions: Mapping[str, int],
    compiled: CompiledScanners,
    past: Mapping[date, Collection[str]],
    last: date,
    choices: ScanChoices,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(scans, signals): what was scanned again of the sessions `past`, and what those scans give otherwise without their future.

    Arguments as of `check_record`; of the session `last` nothing is scanned. Columns as of `CheckedRecord.alone` and `look_ahead`.
    """
    scans, signals = [_tried([])], [pl.DataFrame(schema=DIFFERENCES)]
    with ScanEngine(compiled, NO_INPUTS) as engine:
        for session, names in past.items():
            recorded, runs = (_of_session(lake, exchange, versions, name, session) for name in ("scanner_signals", "scanner_runs"))
            asked = sampled_times(runs.filter((pl.col("mode") == "nightly") & pl.col("scanner_name").is_in(names)), _TIMES)
            scans.append(_tried(asked))
            signals.append(find_look_ahead(engine, _inputs(lake, exchange, versions, session, last, choices), recorded, asked))
    return pl.concat(scans), pl.concat(signals)


def _scanned(lake: Lake, exchange: str, versions: Mapping[str, int], year: int) -> pl.DataFrame:
    """A row per scanner and session of a year: whether it issued signals there."""
    table = LakeTable(lake.table_uri(exchange, "scanner_runs"), TABLES["scanner_runs"])
    runs = table.read(versions.get("scanner_runs"), [year], _RUN).filter(mode="nightly")
    return runs.group_by("scanner_name", "session_date").agg(fired=(pl.col("signals") > 0).any())


def _of_session(lake: Lake, exchange: str, versions: Mapping[str, int], name: str, session: date) -> pl.DataFrame:
    table = LakeTable(lake.table_uri(exchange, name), TABLES[name])
    return table.read(versions.get(name), [session.year], where=pl.col("session_date") == session)


def _inputs(lake: Lake, exchange: str, versions: Mapping[str, int], session: date, last: date, choices: ScanChoices) -> ScanInputs:
    """What a scan of the session looks at, and a few sessions more, which it must not look at."""
    ahead = [s.session_date for s in traded_calendar(lake, exchange, versions).between(session, last)[: _AHEAD + 1]]
    minutes = LakeTable(lake.table_uri(exchange, "bars_1m"), TABLES["bars_1m"]).read(versions.get("bars_1m"), ahead[:2])
    return read_inputs(lake, exchange, versions, session, ahead[-1], choices, minutes=minutes)


def _tried(asked: Asked) -> pl.DataFrame:
    rows = [(name, at) for at, names in asked for name in names]
    return pl.DataFrame(rows, schema=_TRIED, orient="row")
