"""How a scan prints: shortlist, coverage, signals, and what was left out.

Lives here: `print_scan`.
Does not live here: the command and its arguments (`scan.py`), the scan (`scan_run.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pipelines.cli.console import say, table
from pipelines.market.exchanges import Exchange

_SHOWN_SIGNALS, _SHOWN_REASONS, _SHOWN_SYMBOLS = 50, 20, 5


def print_scan(content: Mapping[str, Any], venue: Exchange) -> None:
    """Print what `run_scan` gave, with moments by the exchange's clock."""
    say(f"{content['exchange']} as of {content['at']} {venue.timezone}, release {content['release_id']}")
    if content.get("note"):
        say(content["note"])
    if "shortlist" in content:
        columns = ["rank", "symbol", "side", "agreeing", "disagreeing", "regime", "score", "traded_value", "scanners"]
        rows = [[row[name] for name in columns] for row in content["shortlist"]]
        table(columns, rows, title=f"Shortlist of the close of {content['shortlist_of']}: {len(rows)} instruments")
        if not content["scans"]:
            say("the session has not opened: scan again once it has, with --shortlist")
    for found in content["scans"]:
        say()
        _print_looked(found, venue)
    if content.get("recorded"):
        say(f"recorded as {content['recorded']}")


def _print_looked(found: Mapping[str, Any], venue: Exchange) -> None:
    def clock(moment: datetime) -> str:
        return f"{moment.astimezone(venue.zone):%Y-%m-%d %H:%M}"

    rows = [
        [
            run["scanner_name"],
            clock(run["as_of_ts"]),
            run["status"],
            run["instruments_scanned"],
            run["universe_size"],
            run["signals"],
            run["signals_withheld"],
        ]
        for run in found["runs"]
    ]
    columns = ["scanner", "as of", "coverage", "scanned", "of", "signals", "withheld"]
    table(columns, rows, title=f"Scanned: {found['universe']}")
    for run in found["runs"]:
        if run["withheld_because"]:
            say(f"{run['scanner_name']}: {run['withheld_because']}")
    _print_signals(found, clock)
    _print_left_out(found["left_out"])


def _print_signals(found: Mapping[str, Any], clock: Callable[[datetime], str]) -> None:
    signals, total = found["signals"], found["signals_total"]
    if not signals:
        say("no signal")
        return
    columns = ["scanner", "symbol", "side", "as of", "entry", "target", "stop", "score", "signal_id"]
    rows = [
        [
            s["scanner_name"],
            s["symbol"],
            s["signal_type"],
            clock(s["ts"]),
            s["entry_price"],
            s["target_price"],
            s["stop_loss"],
            s["confidence_score"],
            s["signal_id"][:12],
        ]
        for s in signals[:_SHOWN_SIGNALS]
    ]
    table(columns, rows)
    if total > len(rows):
        say(f"… {total - len(rows):,} more signals of lower score; --json prints all that --top lets through")


def _print_left_out(left_out: Sequence[Mapping[str, Any]]) -> None:
    """One line a scanner and reason, the most frequent first."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for row in left_out:
        grouped.setdefault((row["scanner_name"], row["reason"]), []).append(row["symbol"])
    if not grouped:
        return
    ordered = sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = [
        [name, str(len(symbols)), reason, " ".join(symbols[:_SHOWN_SYMBOLS]) + (" …" if len(symbols) > _SHOWN_SYMBOLS else "")]
        for (name, reason), symbols in ordered[:_SHOWN_REASONS]
    ]
    table(["scanner", "instruments", "not judged or not issued because", "symbols"], rows)
    if len(ordered) > len(rows):
        say(f"… {len(ordered) - len(rows):,} more reasons; --json prints all")
