"""`marketlake doctor`: what is wrong with this home, and what to do about it.

Lives here: the checks, each small and independent, and which repairs `--repair` runs.
Does not live here: the repairs themselves (`quality/orphans.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version

from pipelines.inbox.deliveries import refused_deliveries, source_files, unplaced
from pipelines.live.inbox import SUFFIXES, batches, inbox_folder
from pipelines.market.calendar import PROVISIONAL, ExchangeCalendar
from pipelines.market.calendar_file import HomeCalendarError
from pipelines.quality.orphans import orphaned, repair_orphans
from pipelines.quality.restated_sessions import contradictions, released_sessions
from pipelines.quality.traded_sessions import ProvisionalDays, provisional_days, traded_calendar
from pipelines.resources import code_version, shipped
from pipelines.settings import Settings
from pipelines.sources.registry import load_sources
from pipelines.storage.location import Lake
from pipelines.storage.locks import home_lock
from pipelines.storage.releases import Release, latest_release

_CALENDAR_WARNING = timedelta(days=60)
_SHOWN_DAYS = 5
_LEAST_FREE_BYTES = 2 * 1024**3
#: Files of an inbox that are named.
_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One check's result. `advice` is empty when all is well."""

    check: str
    ok: bool
    finding: str
    advice: str = ""


def examine(settings: Settings, now: datetime | None = None) -> list[Finding]:
    """All checks, in a fixed order. `now` (aware) stands for the clock."""
    now = now or datetime.now(UTC)
    lake = Lake(settings.lake_root)
    last = latest_release(lake)
    return [
        _installation(),
        _disk(settings),
        _release(last),
        _catalogue(settings, last),
        _code(last),
        *(_instruments(mic, lake) for mic in settings.exchanges),
        *(_inbox(mic, settings) for mic in settings.exchanges),
        *(found for mic in settings.exchanges for found in _sessions(mic, settings, last, now)),
        _clock(now),
    ]


def repair(settings: Settings, now: datetime | None = None) -> list[str]:
    """Put right what can be put right without a person's decision. Returns what was done, a sentence each.

    `now` (aware) stands for the clock. Raises LockHeldError when another writer is at work.
    """
    done = []
    with home_lock(settings.state_dir, "repair", settings.lock_wait):
        for mic in settings.exchanges:
            repaired = repair_orphans(Lake(settings.lake_root), mic, now or datetime.now(UTC))
            if repaired.added:
                done.append(f"{mic}: {len(repaired.added)} instruments added for bars that had none: {_listed(repaired.added)}")
            for table, rows in repaired.removed.items():
                done.append(f"{mic}: {rows} rows of {table} moved to quarantine as malformed_symbol")
    return done


def _installation() -> Finding:
    try:
        found = [f"{name} {version(name)}" for name in ("dagster", "dbt-duckdb", "duckdb", "deltalake", "great-expectations")]
        shipped("dbt_project")
        shipped("expectations")
    except (PackageNotFoundError, FileNotFoundError) as error:
        return Finding("installation", False, str(error), "install marketlake again from its lock file")
    return Finding("installation", True, ", ".join(found))


def _disk(settings: Settings) -> Finding:
    home = settings.home if settings.home.exists() else settings.home.parent
    free = shutil.disk_usage(home).free
    enough = free >= _LEAST_FREE_BYTES
    return Finding("disk", enough, f"{free / 1024**3:.1f} GiB free in {home}", "" if enough else "free at least 2 GiB")


def _release(last: Release | None) -> Finding:
    if last is None:
        return Finding(
            "release", False, "nothing is released yet", "run `marketlake demo`, or ingest files and run `marketlake nightly`"
        )
    return Finding("release", True, f"{last.release_id} of {last.created_at:%Y-%m-%d %H:%M} UTC")


def _catalogue(settings: Settings, last: Release | None) -> Finding:
    link = settings.catalogue_link
    if last is None:
        return Finding("catalogue", True, "none needed yet")
    if not link.exists():
        return Finding("catalogue", False, f"{link} leads nowhere", "run any `marketlake sql` query, which publishes it again")
    if link.resolve().stem != last.release_id:
        return Finding("catalogue", False, f"{link} shows {link.resolve().stem}, not {last.release_id}", "run `marketlake nightly`")
    return Finding("catalogue", True, f"{link} shows {last.release_id}")


def _code(last: Release | None) -> Finding:
    if last is None or last.code_version == code_version():
        return Finding("code", True, code_version())
    return Finding(
        "code", False, f"the release was built by {last.code_version}, this is {code_version()}", "run `marketlake nightly`"
    )


def _instruments(mic: str, lake: Lake) -> Finding:
    check = f"instruments {mic}"
    orphans = orphaned(lake, mic)
    if orphans.is_empty():
        return Finding(check, True, "every bar has its instrument")
    names = orphans["instrument_id"].unique(maintain_order=True).to_list()
    return Finding(
        check,
        False,
        f"{orphans['rows'].sum()} bars of {len(names)} instruments that the table instruments does not have: {_listed(names)}; "
        "every nightly run fails",
        "run `marketlake doctor --repair`, then `marketlake nightly`",
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) if not name.isprintable() or " " in name else name for name in (n[:60] for n in names[:5]))
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _sessions(mic: str, settings: Settings, last: Release | None, now: datetime) -> list[Finding]:
    """Freshness, which needs a calendar, and the calendar itself."""
    lake = Lake(settings.lake_root)
    try:
        days = traded_calendar(lake, mic)
    except HomeCalendarError as error:
        advice = "correct the file; `marketlake calendar check` checks it again"
        return [Finding(f"calendar {mic}", False, problem, advice) for problem in error.problems]
    counted = released_sessions(lake, mic, last)["session_date"]
    against = [Finding(f"calendar {mic}", False, f.describe(), f.advice()) for f in contradictions(lake, mic, counted)]
    delay = timedelta(days=settings.provisional_delay_days)
    provisional = provisional_days(lake, mic, now.astimezone(days.exchange.zone).date(), delay)
    return [_freshness(mic, last, now, days), _calendar(mic, now, days, provisional), *against]


def _inbox(mic: str, settings: Settings) -> Finding:
    check, root, sources = f"inbox {mic}", settings.vendor_inbox_dir, load_sources()
    live_suffixes = SUFFIXES if root == settings.inbox_dir else ()
    lying = [(f"{mic}/{f.shown}", f.fault) for f in batches(inbox_folder(settings.inbox_dir, mic), settings.max_live_file_mb << 20)]
    for name, source in sources.items():
        lying += [(f"{mic}/{name}/{f.shown}", f.fault) for f in source_files(root, mic, source)]
    lying += [(f.shown, f.fault) for f in unplaced(root, mic, settings.exchanges, tuple(sources), live_suffixes)]
    refused = [f"{name}: {fault}" for name, fault in lying if fault is not None]
    refused += [
        f"{mic}/{delivery.describe()}: {'; '.join(reasons)}"
        for delivery, reasons in refused_deliveries(root, settings.state_dir, mic)
    ]
    if not refused:
        return Finding(check, True, "nothing lies there that was refused")
    more = f" (and {len(refused) - _SHOWN} more)" if len(refused) > _SHOWN else ""
    return Finding(
        check, False, " | ".join(refused[:_SHOWN]) + more, "put each right as its reason says, or remove it from the inbox"
    )


def _freshness(mic: str, last: Release | None, now: datetime, days: ExchangeCalendar) -> Finding:
    check = f"freshness {mic}"
    built = (last.sessions.get(mic) if last else None) or []
    if not built:
        return Finding(check, True, "no bars of this exchange are released")
    newest, closed = date.fromisoformat(str(built[1])), days.latest_closed(now).session_date
    between = days.between(newest, closed)
    behind = len(between) - 1
    unsure = sum(session.status == PROVISIONAL for session in between[1:])
    finding = f"released up to {newest}" + (f", {behind} sessions behind {closed}" if behind > 0 else "")
    finding += f" ({unsure} of them provisional)" if unsure else ""
    return Finding(check, True, finding, "ingest newer files" if behind > 0 else "")


def _calendar(mic: str, now: datetime, days: ExchangeCalendar, provisional: ProvisionalDays) -> Finding:
    end, check = days.known_until, f"calendar {mic}"
    told = [f"sessions are known until {end}"]
    if end < now.date():
        told.append("later weekdays are provisional sessions")
    for name, listed in vars(provisional).items():
        if listed and name != "confirmed":
            more = f" and {len(listed) - _SHOWN_DAYS} more" if len(listed) > _SHOWN_DAYS else ""
            told.append(f"{name.replace('_', ' ')}: {', '.join(map(str, listed[-_SHOWN_DAYS:]))}{more}")
    ends_soon = end - now.date() < _CALENDAR_WARNING
    advice = "state the exchange's list with `marketlake calendar add`, or install a newer exchange_calendars" if ends_soon else ""
    return Finding(check, True, "; ".join(told), advice)


def _clock(now: datetime) -> Finding:
    known = datetime(2026, 1, 1, tzinfo=UTC)
    if now < known:
        return Finding("clock", False, f"the clock says {now:%Y-%m-%d}", "set the clock: this version was made later")
    return Finding("clock", True, f"{now:%Y-%m-%d %H:%M} UTC")
