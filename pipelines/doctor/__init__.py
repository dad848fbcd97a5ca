"""`marketlake doctor`: what is wrong with this home, and what to do about it.

Lives here: which checks there are, in their order, and which repairs `--repair` runs.
Does not live here: the checks (one module an area), the repairs themselves (`ingest/orphan_bars.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime

from pipelines.doctor import calendars, exchanges, files, inboxes, installation, integrity, releases, runs
from pipelines.doctor.model import Finding
from pipelines.doctor.words import listed
from pipelines.ingest.orphan_bars import repair_orphans
from pipelines.market.calendar_file import HomeCalendarError
from pipelines.settings import Settings
from pipelines.storage.delta import UNREADABLE
from pipelines.storage.hold import read_hold
from pipelines.storage.location import Lake
from pipelines.storage.locks import home_lock
from pipelines.storage.releases import Release, latest_release

__all__ = ["Finding", "examine", "repair"]


def examine(
    settings: Settings, now: datetime | None = None, *, mics: Collection[str] | None = None, deep: bool = False
) -> list[Finding]:
    """All checks, in a fixed order. `now` (aware) stands for the clock. `mics`: exchanges to look at, all that are configured by
    default. `deep`: every file of the lake is read. Raises UnknownExchangeError for a configured MIC.
    """
    now, asked = now or datetime.now(UTC), settings.exchanges if mics is None else mics
    lake = Lake.from_settings(settings)
    try:
        last = latest_release(lake)
    except UNREADABLE as error:
        return [
            installation.check_packages(),
            installation.check_disk(settings),
            installation.check_home(settings),
            _unreadable("release", error),
        ]
    return [
        installation.check_packages(),
        installation.check_disk(settings),
        installation.check_home(settings),
        *_guarded("files", lambda: files.check_files(settings, lake)),
        *_guarded("lake", lambda: integrity.check_lake_files(lake, last, asked, deep=deep)),
        releases.check_release(settings, last),
        *_guarded("catalogue", lambda: [releases.check_catalogue(settings, lake, last, read_hold(lake))]),
        releases.check_code(last),
        *_guarded("runs", lambda: runs.check_runs(settings, lake, asked)),
        *(finding for mic in asked for finding in _of_exchange(settings, lake, last, mic, now)),
        installation.check_clock(now),
    ]


def _of_exchange(settings: Settings, lake: Lake, last: Release | None, mic: str, now: datetime) -> Iterator[Finding]:
    """The checks of one exchange; one that meets a damaged table is an error of its own and the others go on."""
    withheld = settings.suspected_actions == "withhold"
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        "instruments": lambda: [exchanges.check_instruments(mic, lake)],
        "inbox": lambda: [inboxes.check_inbox(mic, settings)],
        "freshness": lambda: [exchanges.check_freshness(mic, lake, last, now, settings.stale_after_sessions)],
        "quarantine": lambda: [exchanges.check_quarantine(mic, lake, now)],
        "actions": lambda: [exchanges.check_suspects(mic, lake, withheld=withheld)],
        "calendar": lambda: list(calendars.check_calendar(mic, settings, lake, last, now)),
    }
    for name, check in checks.items():
        yield from _guarded(f"{name} {mic}", check)


def _guarded(name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of a check; a table that it cannot read is one of them, and the other checks go on."""
    try:
        yield from check()
    except HomeCalendarError:
        # Said by the check of the calendar, with each of its mistakes.
        return
    except UNREADABLE as error:
        yield _unreadable(name, error)


def _unreadable(check: str, error: BaseException) -> Finding:
    message = f"a table of the lake cannot be read: {' '.join(str(error).split())}"
    advice = "run `marketlake repair`, which says what it can bring back; else restore the lake's files from a backup"
    return Finding(check, "error", message, advice)


def repair(settings: Settings, now: datetime | None = None, *, mics: Collection[str] | None = None) -> list[str]:
    """Put right what can be put right without a person's decision. Returns what was done, a sentence each.

    `now` (aware) stands for the clock. Raises LockHeldError when another writer is at work.
    """
    done = []
    with home_lock(settings.state_dir, "repair", settings.lock_wait):
        for mic in settings.exchanges if mics is None else mics:
            repaired = repair_orphans(Lake.from_settings(settings), mic, now or datetime.now(UTC))
            if repaired.added:
                done.append(f"{mic}: {len(repaired.added)} instruments added for bars that had none: {listed(repaired.added)}")
            for table, rows in repaired.removed.items():
                done.append(f"{mic}: {rows} rows of {table} moved to quarantine as malformed_symbol")
    return done
