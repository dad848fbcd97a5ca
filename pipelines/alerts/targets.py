"""Where alerts go: addresses as apprise reads them, and files.

Lives here: sending a message to each address, and saying which failed without a letter of its secrets.
Does not live here: whether a message is due (`journal.py`).

apprise is imported when a message is sent: it takes a moment, and hardly any process sends one.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

#: Parts of an address this long are taken for secrets, wherever a message repeats them.
_SECRET_LETTERS = 4
_PARTS = re.compile(r"[^\w.-]+")
_KINDS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_LOGGER = "apprise"


@dataclass(frozen=True)
class Message:
    """What is sent. kind: a fault, or that it is over."""

    title: str
    body: str
    kind: Literal["failure", "success", "info"]
    sent_at: datetime


@dataclass(frozen=True)
class Target:
    """An address. Its text has secrets in it: it is shown by place and kind alone."""

    number: int
    url: str

    def __repr__(self) -> str:
        """The name of the address, and nothing else of it."""
        return self.name

    @property
    def name(self) -> str:
        """Which one it is among those that are set, and of what kind: `target 2 (slack://)`."""
        kind = _KINDS.match(self.url)
        return f"target {self.number} ({kind.group(1) if kind else 'no address'}://)"

    def send(self, message: Message) -> str | None:
        """Send a message; returns why that failed, None where it did not. Nothing of the address is in the reason."""
        if self.url.startswith("file://"):
            return _append(Path(self.url.removeprefix("file://")), message)
        return _mask(_notify(self.url, message), self.url)


def targets_of(urls: SecretStr | None) -> tuple[Target, ...]:
    """The addresses of the settings, which blanks separate."""
    texts = urls.get_secret_value().split() if urls else []
    return tuple(Target(number, url) for number, url in enumerate(texts, 1))


def send_to_all(targets: Sequence[Target], message: Message) -> dict[str, str]:
    """Send a message to every target; returns the reason of each that failed, by its name."""
    reasons = {target.name: target.send(message) for target in targets}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _append(path: Path, message: Message) -> str | None:
    """A line of JSON at the end of a file."""
    line = {"at": message.sent_at.isoformat(), "kind": message.kind, "title": message.title, "body": message.body}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None


def _notify(url: str, message: Message) -> str | None:
    import apprise

    with _warnings_of_apprise() as warnings:
        try:
            sender = apprise.Apprise()
            if not sender.add(url):
                return "apprise does not know such an address"
            sent = sender.notify(title=message.title, body=message.body, notify_type=apprise.NotifyType(message.kind))
        # Whatever a plug-in of apprise raises: an alert that cannot be sent stops nothing.
        except Exception as error:  # noqa: BLE001
            return f"{type(error).__name__}: {error}"
    return None if sent else "; ".join(warnings) or "it was not taken"


@contextmanager
def _warnings_of_apprise() -> Iterator[list[str]]:
    """What apprise says while the block runs, kept from every log: its lines may repeat an address."""
    logger, said = logging.getLogger(_LOGGER), list[str]()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(" ".join(record.getMessage().split()))

    handler, before = Collector(logging.WARNING), (logger.handlers, logger.propagate)
    logger.handlers, logger.propagate = [handler], False
    try:
        yield said
    finally:
        logger.handlers, logger.propagate = before


def _mask(reason: str | None, url: str) -> str | None:
    """A reason without the parts of the address."""
    if reason is None:
        return None
    for part in sorted({url, *_PARTS.split(url.partition("://")[2])}, key=len, reverse=True):
        if len(part) >= _SECRET_LETTERS:
            reason = reason.replace(part, "***")
    return reason
