"""The gate: a table's GX suite on the profile of a staged batch, and the record of what passed.

Lives here: telling which sessions a suite refuses, recording the pass and demanding it before publication.
Does not live here: running a suite (`suites.py`); row rules (`quality/row_rules.py`); the Dagster check that calls this
(`orchestration/checks/gate.py`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.ingest.quarantine import REFUSED
from pipelines.ingest.staged import SESSION_COLUMN
from pipelines.ingest.suites import ExpectationResult, Suite, run_suite, suite_hash
from pipelines.ingest.withheld import Withheld, mark_withheld
from pipelines.market.calendar import calendar
from pipelines.quality.profile import profile
from pipelines.storage.crash_points import crash_point
from pipelines.storage.row_parts import RowParts
from pipelines.whole_files import write_whole

_DESCRIBED = 20
#: Those of some staged rows that passed.
PassedRows = Callable[[pl.DataFrame], pl.DataFrame]


class GateNotPassedError(RuntimeError):
    """A batch was about to be published without a recorded pass of its suite."""


@dataclass(frozen=True)
class ValidationResult:
    """What the suite says of a staged batch. `refused` maps a session to the critical expectations that it breaks; `withheld` lists
    sessions that other tables refuse, whose rows of the same deliveries stay out too.
    """

    table: str
    batch_hash: str
    suite_hash: str
    judgements: tuple[ExpectationResult, ...]
    sessions: tuple[date, ...]
    refused: dict[date, tuple[str, ...]]
    withheld: tuple[Withheld, ...] = ()

    @property
    def passed(self) -> tuple[date, ...]:
        """Sessions that may be published."""
        return tuple(s for s in self.sessions if s not in self.refused)

    @property
    def warnings(self) -> tuple[ExpectationResult, ...]:
        """Expectations that failed without refusing anything."""
        return tuple(j for j in self.judgements if not j.success and j.severity != "critical")

    def describe(self) -> str:
        """What is refused and why, in a line; else what was noticed."""
        refused = ", ".join(f"{day}: {' and '.join(names)}" for day, names in list(self.refused.items())[:_DESCRIBED])
        withheld = ", ".join(f"{w.session}: {w.name} of {w.table}" for w in self.withheld[:_DESCRIBED])
        stops = [f"refused: {refused}"] if refused else []
        stops += [f"out with their delivery: {withheld}"] if withheld else []
        noticed = [f"{j.name} ({j.sample})" if j.sample else j.name for j in self.warnings]
        return "; ".join(stops) or (f"warning: {'; '.join(noticed)}" if noticed else "all expectations hold")


def validate_batch(
    exchange: str,
    table: str,
    batch: pl.DataFrame | RowParts,
    beside: Callable[[pl.DataFrame], pl.DataFrame | None] = lambda _: None,
    around: pl.DataFrame | None = None,
    suite: Suite = run_suite,
    calendars: Path | None = None,
) -> ValidationResult:
    """Run the table's suite on the batch's profile, which is made part by part: a session lies in one part.

    `beside`: stored rows that a part will stand beside, profiled with it. `around`: figures of `quality/market_context.py`.
    `calendars`: the home's folder of calendars; None: those that ship. A session is not refused by an expectation that a person
    overruled for rows of the failing instrument and session.
    """
    batch = in_parts(batch)
    figures: list[pl.DataFrame] = []
    days: set[date] = set()
    excused: set[tuple[date, str, str]] = set()
    for rows in batch.parts():
        stored = beside(rows)
        judged = rows if stored is None else pl.concat([rows.select(stored.columns), stored])
        figures.append(profile(table, judged, calendar(exchange, calendars), around))
        days.update(rows.get_column(SESSION_COLUMN[table]).unique())
        excused |= overridden_expectations(table, rows)
    sessions = tuple(sorted(days))
    judgements = suite(table, pl.concat(figures)) if sessions else ()
    refused: dict[date, tuple[str, ...]] = {}
    for judgement in judgements:
        if not judgement.success and judgement.severity == "critical":
            for session in _stopped(judgement, sessions, excused):
                refused[session] = (*refused.get(session, ()), judgement.name)
    return ValidationResult(table, content_hash(batch), suite_hash(table), judgements, sessions, dict(sorted(refused.items())))


def in_parts(rows: pl.DataFrame | RowParts) -> RowParts:
    """Rows of a staged table, as parts."""
    return rows if isinstance(rows, RowParts) else RowParts([rows])


def overridden_expectations(table: str, rows: pl.DataFrame) -> set[tuple[date, str, str]]:
    """(session, instrument_id, expectation) of every expectation that a person overruled for rows of the batch."""
    if "overrules" not in rows.columns:
        return set()
    overruled_rows = (
        rows.lazy().filter(pl.col("overrules").is_not_null()).select(SESSION_COLUMN[table], "instrument_id", "overrules")
    )
    named = overruled_rows.explode("overrules").filter(pl.col("overrules").str.starts_with(REFUSED)).unique()
    return set(named.with_columns(pl.col("overrules").str.strip_prefix(REFUSED)).collect().iter_rows())


def refused_rows(validation: ValidationResult, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of refused sessions with `rule` = session_refused:<expectation> and `reason`; those withheld with them too."""
    column = SESSION_COLUMN[validation.table]
    names = {session: names[0] for session, names in validation.refused.items()}
    if not names and not validation.withheld:
        return rows.clear().with_columns(rule=pl.lit(None, pl.String), reason=pl.lit(None, pl.String))
    wording = {j.name: f"{j.expectation} failed for the session: {j.sample}" for j in validation.judgements if not j.success}
    own = pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)
    others = dict(enumerate(validation.withheld))
    theirs = pl.col("withheld_by").replace_strict({n: w.name for n, w in others.items()}, default=None, return_dtype=pl.String)
    because = {n: f"{w.table} of the same delivery was refused for the session by {w.name}" for n, w in others.items()}
    marked = mark_withheld(validation.table, rows, validation.withheld).with_columns(
        expectation=pl.coalesce(own, theirs), __own=own
    )
    return (
        marked.filter(pl.col("expectation").is_not_null())
        .with_columns(
            rule=pl.format(REFUSED + "{}", "expectation"),
            reason=pl.coalesce(
                pl.col("__own").replace_strict(wording, default=None, return_dtype=pl.String),
                pl.col("withheld_by").replace_strict(because, default=None, return_dtype=pl.String),
            ),
        )
        .drop("expectation", "withheld_by", "__own")
    )


def refused_parts(validation: ValidationResult, batch: RowParts) -> pl.DataFrame:
    """`refused_rows` of all parts of a batch; none is read where nothing is refused."""
    if not (validation.refused or validation.withheld):
        return refused_rows(validation, next(batch.parts()).clear())
    return pl.concat([refused_rows(validation, rows) for rows in batch.parts()])


def content_hash(batch: RowParts) -> str:
    """SHA-256 of a staged table's rows in order; of one in parts, of the files that hold them."""
    if len(batch) > 1:
        return batch.content_hash()
    rows = batch.frame()
    sink = io.BytesIO()
    rows.drop("received_at", strict=False).write_ipc(sink, compression="uncompressed")
    return hashlib.sha256(sink.getvalue()).hexdigest()


def record_validation(validation: ValidationResult, state_dir: Path) -> Path:
    """Record which sessions of the batch passed, keyed by the hashes of batch and suite."""
    path = _receipt_path(state_dir, validation.batch_hash, validation.suite_hash)
    content = {
        "table": validation.table,
        "passed": [str(s) for s in validation.passed],
        "withheld": [{**vars(w), "session": str(w.session)} for w in validation.withheld],
        "expectations": sorted({j.name for j in validation.judgements}),
        "failed": sorted({j.name for j in validation.judgements if not j.success}),
    }
    write_whole(path, json.dumps(content))
    crash_point("gate.recorded")
    return path


def passed_rows(table: str, batch: pl.DataFrame | RowParts, state_dir: Path) -> tuple[PassedRows, dict[str, str]]:
    """Which rows are of sessions with a recorded pass of the current suite, and what the commit that publishes them keeps of it.

    The former takes a part of the batch and returns those of it. The latter: gate_suite (SHA-256 of its file), gate_expectations
    and gate_failed (names; what failed was a warning or overruled).
    Raises GateNotPassedError when no validation of exactly these rows by this suite is on record: a gate that was skipped or
    switched off.
    """
    suite = suite_hash(table)
    path = _receipt_path(state_dir, content_hash(in_parts(batch)), suite)
    if not path.is_file():
        raise GateNotPassedError(
            f"staged {table} has no recorded pass of expectations/{table}.json: run the check gate_{table} on staged_{table} first"
        )
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    passed = [date.fromisoformat(s) for s in record["passed"]]
    names = {f"gate_{what}": ",".join(record.get(what, [])) for what in ("expectations", "failed")}
    withheld = [
        Withheld(date.fromisoformat(w["session"]), tuple(w["batches"]), w["table"], w["name"]) for w in record.get("withheld", [])
    ]

    def of_passed(rows: pl.DataFrame) -> pl.DataFrame:
        kept = mark_withheld(table, rows, withheld).filter(pl.col("withheld_by").is_null()).drop("withheld_by")
        return kept.filter(pl.col(SESSION_COLUMN[table]).is_in(passed))

    return of_passed, {"gate_suite": suite, **names}


def _stopped(judgement: ExpectationResult, sessions: tuple[date, ...], excused: set[tuple[date, str, str]]) -> list[date]:
    """Sessions that a failed expectation refuses. One about the whole table is excused for a session by any row of it."""
    if judgement.failures:
        return sorted({day for day, instrument in judgement.failures if (day, instrument, judgement.name) not in excused})
    days = {day for day, _, name in excused if name == judgement.name}
    return [day for day in judgement.sessions or sessions if day not in days]


def _receipt_path(state_dir: Path, batch_hash: str, suite: str) -> Path:
    return state_dir / "gate" / f"{batch_hash[:32]}-{suite[:16]}.json"
