"""The command `marketlake explain`: a published bar or a signal, followed back to where it comes from.

Lives here: its arguments and how it prints.
Does not live here: where a bar comes from (`ingest/bar_provenance.py`), where a signal does (`scanners/signal_provenance.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.console import REFUSED, USAGE, fail, say, say_fields, say_json, table
from pipelines.cli.options import Exchange, Json, exchanges_to_search, read_settings

if TYPE_CHECKING:
    from pipelines.settings import Settings

#: Rows of each input that the text shows; --json has all.
_SHOWN = 5
_BAR = ["open", "high", "low", "close", "volume", "batch_id", "row_number"]


def explain(
    key: Annotated[str, typer.Argument(help="A signal_id or how it begins; or bars_1m, bars_daily, …", metavar="SIGNAL_ID|TABLE")],
    instrument: Annotated[str | None, typer.Argument(help="Of a bar: symbol or instrument_id.")] = None,
    when: Annotated[
        str | None, typer.Argument(help="Of a bar: session (YYYY-MM-DD), or start of the minute (ISO 8601).", metavar="WHEN")
    ] = None,
    exchange: Exchange = None,
    as_json: Json = False,
) -> None:
    """Follow a signal or a published bar back: to rows, raw files and lines, deliveries, checks passed, release.

    A signal by its id alone: the rule in words with its numbers, the bars and indicator rows it stands on, what became of it. A
    bar by table, instrument and moment: its row, the versions it superseded, what the quarantine holds of it.

    Example: marketlake explain bars_daily AAPL 2014-06-09
    """
    from pipelines.market.tables import TABLES

    settings = read_settings()
    if when is not None and instrument is not None:
        _explain_bar(settings, key, instrument, when, exchange, as_json=as_json)
    elif instrument is not None or key in TABLES:
        fail(f"a bar is named by table, instrument and moment, for example: marketlake explain {key} AAPL 2014-06-09", USAGE)
    else:
        _explain_signal(settings, key, exchange, as_json=as_json)


def _explain_bar(settings: Settings, key: str, instrument: str, when: str, exchange: str | None, *, as_json: bool) -> None:
    from pipelines.ingest.bar_provenance import UnknownBarError, trace
    from pipelines.storage.location import Lake

    prefix = instrument.partition(":")[0].upper()
    named = exchange or (prefix if ":" in instrument and prefix in settings.exchanges else None)
    found: dict[str, Any] | None = None
    refusals: list[str] = []
    for mic in exchanges_to_search(settings, named):
        try:
            found = trace(Lake.from_settings(settings), mic, key, instrument, when)
            break
        except UnknownBarError as error:
            refusals.append(str(error))
    if found is None:
        fail("; ".join(refusals), USAGE)
    if as_json:
        say_json(found)
    else:
        say_fields(found)
        _say_suspects(settings, mic, found["row"]["instrument_id"])


def _say_suspects(settings: Settings, mic: str, instrument: str) -> None:
    from pipelines.ingest.suspected_actions import describe_suspects, suspected_actions
    from pipelines.storage.location import Lake

    suspects = suspected_actions(Lake.from_settings(settings), mic, instrument)
    for line in describe_suspects(mic, suspects, withheld=settings.suspected_actions == "withhold"):
        say(line)


def _explain_signal(settings: Settings, key: str, exchange: str | None, *, as_json: bool) -> None:
    from pipelines.scanners.project import HomeProject
    from pipelines.scanners.signal_provenance import UnknownSignalError, explain_signal, find_signal
    from pipelines.storage.location import Lake

    lake = Lake.from_settings(settings)
    exchanges = exchanges_to_search(settings, exchange)
    try:
        # Before anything is compiled: a mistyped id is reported at once.
        signal = find_signal(lake, exchanges, key)
    except UnknownSignalError as error:
        fail(str(error), REFUSED)
    found = explain_signal(lake, signal, HomeProject.from_settings(settings).compiled())
    if as_json:
        say_json(found)
        return
    _say_signal(found)
    _say_suspects(settings, signal.exchange, signal.row["instrument_id"])


def _say_signal(found: dict[str, Any]) -> None:
    inputs = {name: found.pop(name) for name in ("minutes", "bars", "indicators")}
    outcomes = found.pop("outcomes")
    raw_files = found.pop("raw_files")
    release, checks = found.pop("release"), found.pop("checks")
    say_fields(found)
    for name, first in (("minutes", "ts"), ("bars", "session_date")):
        rows = inputs[name]
        if rows:
            say()
            title = f"{name}: {len(rows)}, newest first" + (f" ({_SHOWN} shown; --json has all)" if len(rows) > _SHOWN else "")
            table([first, *_BAR], [[row[c] for c in (first, *_BAR)] for row in rows[:_SHOWN]], title=title)
    if inputs["indicators"]:
        say()
        shown = [name for name in inputs["indicators"][0] if name not in {"instrument_id", "exchange", "symbol"}]
        rows = [[row[name] for name in shown] for row in inputs["indicators"][:_SHOWN]]
        table(shown, rows, title=f"indicators: {len(inputs['indicators'])}, newest first")
    for title, rows in (("raw files", raw_files), ("what became of it", outcomes)):
        if rows:
            say()
            table(list(rows[0]), [list(row.values()) for row in rows], title=title)
    say()
    say_fields({"checks": checks, "release": release})
