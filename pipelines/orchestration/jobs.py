"""Jobs of an exchange: ingest, nightly, live scan. (The job of the inbox of vendor files is in `vendor_inbox.py`.)

Lives here: which assets each job runs, and how (in one process).
Does not live here: when (`schedules.py`, `sensors.py`) and by whose hand (`runs.py`).
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from pipelines.orchestration.keys import INGESTED, staged_key, table_key
from pipelines.orchestration.partitions import session_partitions

#: Tags of every run that writes, so that a person can filter them.
WRITER = {"marketlake/writer": "true"}


def ingest_job_name(mic: str) -> str:
    """Name of the job that takes deliveries through the gate."""
    return f"{mic}_ingest"


def delivery_job_name(mic: str) -> str:
    """Name of the job that ingests a delivery of the inbox."""
    return f"{mic}_ingest_delivery"


def nightly_job_name(mic: str) -> str:
    """Name of the job that builds, tests and releases everything derived."""
    return f"{mic}_nightly"


def live_scan_job_name(mic: str) -> str:
    """Name of the job that scans a batch of live bars."""
    return f"{mic}_live_scan"


def ingest_job(mic: str, calendars: Path | None = None) -> dg.UnresolvedAssetJobDefinition:
    """The job that takes deliveries of one exchange through the gate."""
    return dg.define_asset_job(
        ingest_job_name(mic),
        # A delivery of history is no reason to fail an ingest.
        _ingested(mic) - _freshness(mic),
        description=f"Vendor files of {mic} through row rules and gate into the lake.",
        partitions_def=session_partitions(mic, calendars),
        tags={**WRITER, "marketlake/exchange": mic},
        executor_def=dg.in_process_executor,
    )


def exchange_jobs(mic: str, calendars: Path | None = None) -> list[dg.UnresolvedAssetJobDefinition]:
    """The jobs of one exchange. All run in one process: a step of its own would cost three seconds."""
    everything = dg.AssetSelection.key_prefixes([mic])
    live = dg.AssetSelection.assets(table_key(mic, "signals_live"))
    return [
        ingest_job(mic, calendars),
        dg.define_asset_job(
            nightly_job_name(mic),
            (everything - _ingested(mic) - live) | _freshness(mic),
            description=f"Everything derived from the lake of {mic}: indicators, signals, backtest, risk report, release.",
            partitions_def=session_partitions(mic, calendars),
            tags={**WRITER, "marketlake/exchange": mic},
            executor_def=dg.in_process_executor,
        ),
        dg.define_asset_job(
            live_scan_job_name(mic),
            live,
            description=f"Scan one batch of closed one-minute bars of {mic} with the published scanners.",
            tags={"marketlake/exchange": mic},
            executor_def=dg.in_process_executor,
        ),
    ]


def _ingested(mic: str) -> dg.AssetSelection:
    return dg.AssetSelection.assets(table_key(mic, "raw_files"), *(k(mic, t) for t in INGESTED for k in (staged_key, table_key)))


def _freshness(mic: str) -> dg.AssetSelection:
    return dg.AssetSelection.checks(dg.AssetCheckKey(table_key(mic, "bars_daily"), "freshness"))
