"""The commands `marketlake alerts test` and `marketlake alerts send`.

Lives here: their arguments and how they print.
Does not live here: sending (`alerts/`), finding what is wrong (`orchestration/alerts.py`).
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from pipelines.cli.console import USAGE, fail, say, say_json, table, warn
from pipelines.cli.options import Json, read_settings

if TYPE_CHECKING:
    from pipelines.alerts.targets import Target
    from pipelines.settings import Settings

alerts = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@alerts.callback()
def alerts_group() -> None:
    """Tell people elsewhere what is wrong: mail, Slack, Telegram, webhooks, files, by the addresses of MARKETLAKE_ALERT_URLS.

    Example: marketlake alerts test
    """


@alerts.command("test")
def send_trial(as_json: Json = False) -> None:
    """Send a trial message to every address, and say which failed. Ends with 1 where one did.

    Example: marketlake alerts test
    """
    from pipelines.alerts.targets import Message, send_to_all

    settings = read_settings()
    targets = _targets(settings)
    body = f"a trial message of the home {settings.home} on {platform.node()}; nothing is wrong"
    failed = send_to_all(targets, Message("marketlake: trial message", body, "info", datetime.now(UTC)))
    if as_json:
        say_json([{"target": t.name, "sent": t.name not in failed, "reason": failed.get(t.name)} for t in targets])
    else:
        table(["target", "sent", "why not"], [[t.name, t.name not in failed, failed.get(t.name)] for t in targets])
    raise typer.Exit(1 if failed else 0)


@alerts.command()
def send(as_json: Json = False) -> None:
    """Tell of jobs that failed and of stale exchanges, unless it was told, and of what is over; for homes without the daemon.

    The daemon of `marketlake ui` does it by itself. Ends with 1 where an address failed.

    Example: marketlake alerts send
    """
    from pipelines.orchestration.alerts import journal_of, tell_state

    settings = read_settings()
    _targets(settings)
    failed = tell_state(settings, datetime.now(UTC))
    wrong = journal_of(settings).open_alerts()
    if as_json:
        say_json({"open": list(wrong.values()), "failed": failed})
    else:
        for title in wrong.values():
            say(title)
        if not wrong:
            say("nothing is wrong")
        for name, reason in failed.items():
            warn(f"{name}: {reason}")
    raise typer.Exit(1 if failed else 0)


def _targets(settings: Settings) -> tuple[Target, ...]:
    from pipelines.alerts.targets import targets_of

    targets = targets_of(settings.alert_urls)
    if not targets:
        fail("MARKETLAKE_ALERT_URLS names no address (docs/operations.md, Alerts)", USAGE)
    return targets
