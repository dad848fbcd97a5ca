"""Which alerts were sent: what is wrong is told once, and again after some hours; that it is over is told once.

Lives here: `Alert`, the journal in the home's state, and what is due by it.
Does not live here: sending (`targets.py`), finding what is wrong (`orchestration/alerts.py`).
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.alerts.targets import Message, Target, send_to_all
from pipelines.whole_files import write_whole

_HOUR = timedelta(hours=1)
#: What differs between two reports of the same fault: ids of runs and files, numbers of processes, moments.
_VARIES = re.compile(r"\b[0-9a-f]{8,}(-[0-9a-f]{4,})*\b|\b\d{2}:\d{2}(:\d{2}(\.\d+)?)?\b|\bprocess \d+\b")


@dataclass(frozen=True)
class Alert:
    """Something that is wrong. about: what it is wrong with, such as a job; one thing is wrong in one way at a time.

    title, reason: for people. details: lines below, such as the run's address, that do not distinguish one fault from another.
    """

    about: str
    title: str
    reason: str
    details: tuple[str, ...] = ()

    @property
    def fault(self) -> str:
        """The reason without what differs from one report of the same fault to the next."""
        return _VARIES.sub("…", self.reason)


@dataclass
class _Open:
    """A fault that was told: its fault, since when, when it was told last, how often it came since."""

    title: str
    fault: str
    since: str
    told_at: str
    untold: int = 0


@dataclass
class _Content:
    open: dict[str, _Open] = field(default_factory=dict)
    #: Moments of the messages of the last hour, and how many were held back since the last one.
    sent: list[str] = field(default_factory=list)
    held_back: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Journal:
    """The alerts of a home.

    repeat: how long the same fault is not told again. most_per_hour: messages in an hour; those beyond are counted in the next one.
    """

    path: Path
    targets: tuple[Target, ...]
    repeat: timedelta
    most_per_hour: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def report(self, alert: Alert) -> dict[str, str]:
        """Tell of a fault unless it was told. Returns why targets failed, by name."""
        with self._content() as content:
            known, now = content.open.get(alert.about), self.now()
            same = known is not None and known.fault == alert.fault
            if known is not None and same and now - datetime.fromisoformat(known.told_at) < self.repeat:
                known.untold += 1
                return {}
            body = [alert.reason, *alert.details]
            if known is not None and same:
                body.append(f"since {known.since[:16]} UTC, {known.untold + 1} times since it was told last")
            failed = self._send(content, Message(alert.title, "\n".join(body), "failure", now))
            if failed is None:
                return {}
            if len(failed) < len(self.targets):
                # Told to somebody. Otherwise the next report tries again.
                since = known.since if known is not None and same else now.isoformat()
                content.open[alert.about] = _Open(alert.title, alert.fault, since, now.isoformat())
            return failed

    def recover(self, about: str, how: str) -> dict[str, str]:
        """Tell once that what was told is over. Returns why targets failed, by name."""
        with self._content() as content:
            known, now = content.open.get(about), self.now()
            if known is None:
                return {}
            body = f"{how}\nit was wrong since {known.since[:16]} UTC"
            failed = self._send(content, Message(f"over: {known.title}", body, "success", now))
            if failed is None:
                return {}
            if len(failed) < len(self.targets):
                del content.open[about]
            return failed

    def open_alerts(self) -> Mapping[str, str]:
        """What was told and is not over: title by what it is about."""
        with self._content() as content:
            return {about: known.title for about, known in content.open.items()}

    def _send(self, content: _Content, message: Message) -> dict[str, str] | None:
        """Send within the limit; returns why targets failed, None where it was held back."""
        content.sent = [moment for moment in content.sent if message.sent_at - datetime.fromisoformat(moment) < _HOUR]
        if len(content.sent) >= self.most_per_hour:
            content.held_back += 1
            return None
        if content.held_back:
            more = f"{content.held_back} more messages were held back: see `marketlake doctor`"
            message = Message(message.title, f"{message.body}\n{more}", message.kind, message.sent_at)
        content.sent.append(message.sent_at.isoformat())
        content.failed = send_to_all(self.targets, message)
        if len(content.failed) < len(self.targets):
            content.held_back = 0
        return content.failed

    @contextmanager
    def _content(self) -> Iterator[_Content]:
        """The journal, for one process at a time; what is changed in the block is written after it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = self._read()
            before = asdict(content)
            yield content
            if asdict(content) != before:
                write_whole(self.path, json.dumps(asdict(content), ensure_ascii=False))

    def _read(self) -> _Content:
        try:
            stored: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            return _Content(**{**stored, "open": {about: _Open(**known) for about, known in stored["open"].items()}})
        except FileNotFoundError:
            return _Content()
        except (ValueError, TypeError, KeyError):
            # Derived state: without it a fault is told once more.
            return _Content()
