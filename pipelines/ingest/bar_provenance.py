"""Where a published bar comes from, and what is known of a row in quarantine.

Lives here: following a bar back to raw file, line, delivery, checks, replaced versions, quarantine and release.
Does not live here: printing it (`cli/quarantine.py`), releasing from quarantine (`overridden_rows.py`).
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.ingest.overrides import Selection, quarantined
from pipelines.ingest.withdrawal_records import replaced_by
from pipelines.market.exchanges import exchange as venue_of
from pipelines.market.tables import TABLES
from pipelines.quality.row_rules import ROW_RULES
from pipelines.sources.evidence import raw_row
from pipelines.sources.protocol import RawFile
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.raw import local_copy, registered
from pipelines.storage.releases import releases
from pipelines.storage.retention import read_retention
from pipelines.storage.withdrawn import WITHDRAWAL

#: Tables whose rows can be followed, with the column that tells their moment and the table whose row rules they obey.
_FOLLOWED = {
    "bars_daily": ("session_date", "bars_daily"),
    "bars_1m": ("ts", "bars_1m"),
    "bars_1m_extended": ("ts", "bars_1m"),
}
#: How many sessions around the one asked for are looked through for something near.
_NEAR = 5


class UnknownBarError(ValueError):
    """No such table, instrument or bar. The message names what is near."""


def quarantine_record(lake: Lake, exchange: str, selection: Selection) -> list[dict[str, Any]]:
    """Everything known of the selected rows of the quarantine, one entry for each rule that stopped a row."""
    rows = selection.of(quarantined(lake, exchange))
    return [_held(lake, exchange, row) for row in rows.sort("batch_id", "row_number", "table_name", "rule").iter_rows(named=True)]


def trace(lake: Lake, exchange: str, table: str, instrument: str, when: str) -> dict[str, Any]:
    """A published bar and its way into the lake.

    `instrument` is a symbol or an instrument_id; `when` a session, or for one-minute bars the start of the minute in ISO 8601
    (without an offset: the exchange's local time). Returns row, raw_file, checks, superseded, quarantine and release.
    Raises UnknownBarError.
    """
    if table not in _FOLLOWED:
        near = get_close_matches(table, _FOLLOWED, 1, 0.5)
        raise UnknownBarError(f"{table} cannot be explained{_hint(near)}; the tables are {', '.join(_FOLLOWED)}")
    moment, session = _moment(exchange, table, when)
    row = _bar(lake, exchange, table, instrument, moment, session)
    key = [row[name] for name in TABLES[table].key]
    return {
        "row": row,
        "raw_file": _raw_file(lake, exchange, row["batch_id"], row["row_number"]),
        "checks": _checks(lake, exchange, table, row, session),
        "superseded": _superseded(lake, exchange, table, key, session),
        "quarantine": _same_key(lake, exchange, table, row, moment, session),
        "release": _release(lake, exchange, table, row, session),
    }


def _moment(exchange: str, table: str, when: str) -> tuple[date | datetime, date]:
    """The bar's key in time, and its session."""
    zone = ZoneInfo(venue_of(exchange).timezone)
    try:
        if _FOLLOWED[table][0] == "session_date":
            day = date.fromisoformat(when)
            return day, day
        found = datetime.fromisoformat(when)
    except ValueError:
        example = "2014-06-09" if _FOLLOWED[table][0] == "session_date" else "2014-06-09T13:30:00Z"
        raise UnknownBarError(f"{when!r} is no key of {table}; write it as {example}") from None
    local = found.replace(tzinfo=zone) if found.tzinfo is None else found.astimezone(zone)
    return local.astimezone(UTC), local.date()


def _partition(table: str, session: date) -> list[date | int]:
    return [session.year] if TABLES[table].partition_by == "session_year" else [session]


def _named(exchange: str, instrument: str) -> pl.Expr:
    name = instrument.strip().upper()
    return (pl.col("symbol") == name) | pl.col("instrument_id").str.to_uppercase().is_in([name, f"{exchange}:{name}"])


def _bar(lake: Lake, exchange: str, table: str, instrument: str, moment: date | datetime, session: date) -> dict[str, Any]:
    stored = LakeTable(lake.table_uri(exchange, table), TABLES[table]).read(partitions=_partition(table, session))
    at = pl.col(_FOLLOWED[table][0]) == pl.lit(moment)
    found = stored.filter(_named(exchange, instrument) & at)
    if found.height > 1:
        raise UnknownBarError(f"{instrument} meant several instruments on {session}: {', '.join(found['instrument_id'])}; name one")
    if found.height == 1:
        return found.row(0, named=True)
    named = ["symbol", "instrument_id"]
    listed = LakeTable(lake.table_uri(exchange, "instruments"), TABLES["instruments"]).read(columns=named)
    replaced = LakeTable(lake.table_uri(exchange, f"{table}_superseded"), TABLES[f"{table}_superseded"])
    known = pl.concat([listed, replaced.read(partitions=_partition(table, session), columns=named)]).unique(maintain_order=True)
    ours = known.filter(_named(exchange, instrument))
    if ours.is_empty():
        names = [*known["symbol"].unique(), *known["instrument_id"].unique()]
        near = get_close_matches(instrument.upper(), sorted(names), 3, 0.5)
        raise UnknownBarError(f"{exchange} has no instrument {instrument!r}{_hint(near)}")
    gone = _withdrawn(lake, exchange, table, ours, moment, session)
    hint = _hint(_near(lake, exchange, table, ours, moment, session))
    raise UnknownBarError(f"{table} has no bar of {instrument} at {_written(moment)}{gone}{hint}")


def _withdrawn(lake: Lake, exchange: str, table: str, instruments: pl.DataFrame, moment: date | datetime, session: date) -> str:
    """That the bar was there until its delivery was taken back; an empty text where it was not."""
    schema = TABLES[f"{table}_superseded"]
    rows = LakeTable(lake.table_uri(exchange, schema.name), schema).read(partitions=_partition(table, session))
    here = rows.join(instruments, on="instrument_id", how="semi").filter(pl.col(_FOLLOWED[table][0]) == pl.lit(moment))
    last = here.filter(pl.col("superseded_by_batch").str.starts_with(WITHDRAWAL)).sort("superseded_at").tail(1)
    replacements = replaced_by(lake, exchange)
    return "".join(f" any more: {replacements[by]}" for by in last["superseded_by_batch"])


def _near(lake: Lake, exchange: str, table: str, instruments: pl.DataFrame, moment: date | datetime, session: date) -> list[str]:
    """The bars of the instrument just before and after, among the sessions around."""
    column = _FOLLOWED[table][0]
    days = [s.session_date for s in lake.calendar(exchange).sessions]
    before, after = [d for d in days if d <= session][-_NEAR:], [d for d in days if d > session][:_NEAR]
    partitions = sorted({p for day in [*before, *after] for p in _partition(table, day)})
    rows = LakeTable(lake.table_uri(exchange, table), TABLES[table]).read(partitions=partitions, columns=["instrument_id", column])
    moments = rows.join(instruments, on="instrument_id", how="semi").get_column(column).sort()
    around = [moments.filter(moments < moment).tail(1), moments.filter(moments > moment).head(1)]
    return [_written(value) for part in around for value in part]


def _written(moment: date | datetime) -> str:
    """A key in time as it is written on the command line."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(moment, datetime) else moment.isoformat()


def _hint(near: list[str]) -> str:
    return f"; near: {', '.join(near)}" if near else ""


def _raw_file(lake: Lake, exchange: str, batch_id: str, row_number: int) -> dict[str, Any]:
    """The delivery of a batch, and the row itself as received."""
    files = registered(lake, exchange).filter(pl.col("batch_id") == batch_id)
    if files.is_empty():
        return {"batch_id": batch_id, "row_number": row_number, "name": "not on record (a live file)"}
    file = files.row(0, named=True)
    with local_copy(lake, exchange, file["content_hash"]) as path:
        line = raw_row(RawFile(path, file["name"], file["content_hash"]), row_number) if path.is_file() else None
    described = {name: file[name] for name in ("name", "content_hash", "batch_id", "source", "received_at")}
    options = {name: value for name, value in json.loads(file["options"]).items() if value}
    return {**described, "options": options, "row_number": row_number, "line": line}


def _commit(lake: Lake, exchange: str, table: str, row: dict[str, Any], session: date) -> dict[str, Any]:
    """The commit that brought the row: of those of its batch, and whose files a clean-up has left, the first that holds it."""
    handle = LakeTable(lake.table_uri(exchange, table), TABLES[table])
    history = sorted(handle.scan_versions(), key=lambda entry: int(str(entry["version"])))
    of_batch = [entry for entry in history if row["batch_id"] in str(entry.get("batches", "")).split(",")]
    key_columns = [*TABLES[table].key, "batch_id", "row_number"]
    same = pl.all_horizontal(pl.col(name) == pl.lit(row[name]) for name in key_columns)
    retention, place = read_retention(lake), _partition(table, session)
    for entry in of_batch[:-1]:
        version = int(str(entry["version"]))
        if retention.holds(exchange, table, version) and handle.read(version, place, key_columns).filter(same).height:
            return entry
    return of_batch[-1] if of_batch else {}


def _checks(lake: Lake, exchange: str, table: str, row: dict[str, Any], session: date) -> dict[str, Any]:
    """Row rules and expectations that stood between the raw file and the lake, as the commit recorded them."""
    commit = _commit(lake, exchange, table, row, session)
    records = Selection(table, batch_id=row["batch_id"], row_number=row["row_number"]).of(quarantined(lake, exchange))
    overruled = records.get_column("overruled").drop_nulls().unique().to_list()
    rules = [rule.name for rule in ROW_RULES[_FOLLOWED[table][1]]]
    gate = {
        "suite": f"expectations/{table}.json",
        "suite_hash": commit.get("gate_suite"),
        "expectations": [name for name in str(commit.get("gate_expectations", "")).split(",") if name],
        "failed_as_warning_or_overruled": [name for name in str(commit.get("gate_failed", "")).split(",") if name],
    }
    stamp = commit.get("timestamp")
    return {
        "row_rules": rules,
        "overruled": overruled,
        "gate": gate if commit.get("gate_suite") else {"suite": "no record: published before the lake kept one"},
        "committed_version": commit.get("version"),
        "committed_at": datetime.fromtimestamp(int(str(stamp)) / 1000, UTC) if stamp is not None else None,
    }


def _superseded(lake: Lake, exchange: str, table: str, key: list[Any], session: date) -> list[dict[str, Any]]:
    """Versions of the row that later ones replaced, oldest first, each with its delivery and the one that replaced it."""
    schema = TABLES[f"{table}_superseded"]
    rows = LakeTable(lake.table_uri(exchange, schema.name), schema).read(partitions=_partition(table, session))
    same = pl.all_horizontal(pl.col(name) == pl.lit(value) for name, value in zip(TABLES[table].key, key, strict=True))
    names = replaced_by(lake, exchange)
    shown = ["open", "high", "low", "close", "volume", "source", "known_at", "superseded_at", "superseded_by_batch"]
    return [
        {
            **{name: row[name] for name in shown},
            "raw_file": f"{names.get(row['batch_id'], row['batch_id'])}, row {row['row_number']}",
            "superseded_by": names.get(row["superseded_by_batch"]),
        }
        for row in rows.filter(same).sort("superseded_at").iter_rows(named=True)
    ]


def _same_key(
    lake: Lake, exchange: str, table: str, row: dict[str, Any], moment: date | datetime, session: date
) -> list[dict[str, Any]]:
    """Rows of the quarantine with the bar's key, whichever delivery they came with."""
    wanted = Selection(table, session=session, symbol=row["instrument_id"])
    found = wanted.of(quarantined(lake, exchange)).sort("batch_id", "row_number", "rule").iter_rows(named=True)
    return [_held(lake, exchange, r) for r in found if not isinstance(moment, datetime) or _starts(r["row"]) == moment]


def _starts(evidence: str) -> datetime | None:
    stated = json.loads(evidence).get("ts")
    if stated is None:
        return None
    moment = datetime.fromisoformat(stated)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _held(lake: Lake, exchange: str, row: dict[str, Any]) -> dict[str, Any]:
    decided = row["released_at"] is not None
    decision = {name: row[name] for name in ("released_at", "decided_by", "decision", "overruled")}
    return {
        "table": row["table_name"],
        "rule": row["rule"],
        "reason": row["reason"],
        "session": row["session_date"],
        "row": {name: value for name, value in json.loads(row["row"]).items() if value is not None},
        "raw_file": _raw_file(lake, exchange, row["batch_id"], row["row_number"]),
        "decision": decision if decided else None,
    }


def _release(lake: Lake, exchange: str, table: str, row: dict[str, Any], session: date) -> dict[str, Any]:
    """The first release that holds the row, and the latest."""
    version = _commit(lake, exchange, table, row, session).get("version")
    known = releases(lake)
    holding = [r for r in known if version is not None and r.versions(exchange).get(table, -1) >= int(str(version))]
    if not holding:
        return {"first": "none yet: `marketlake nightly` publishes one"}
    return {"first": holding[0].release_id, "released_at": holding[0].created_at, "latest": holding[-1].release_id}
