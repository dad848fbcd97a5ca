"""What live scans share: the release they look back on, and keeping what they found.

Lives here: `released` and `store_scan`.
Does not live here: scanning a batch of a feed (`scan.py`) or as of any moment (`as_of.py`).
"""

from __future__ import annotations

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.scanners.engine.runner import ScanResult
from pipelines.storage.delta import empty_frame
from pipelines.storage.hold import published_release
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release
from pipelines.storage.upsert import append_new


class LiveScanError(RuntimeError):
    """A scan is not possible; the message says why and what to do."""


def released(lake: Lake, exchange: str) -> Release:
    """The published release; LiveScanError when it holds nothing of the exchange."""
    release = published_release(lake)
    if release is None or not release.versions(exchange):
        others = sorted(release.table_versions) if release else []
        hint = f", or look at what is there with --exchange {' or '.join(others)}" if others else ""
        raise LiveScanError(f"nothing is released for {exchange}: run `marketlake nightly --exchange {exchange}` first{hint}")
    return release


def store_scan(lake: Lake, exchange: str, found: ScanResult, *, mode: str, run_key: str) -> pl.DataFrame:
    """Append signals to `signals_live` and coverage to `scanner_runs`, each once however often the scan is repeated.

    Returns the signals with the columns mode, run_key and session_year.
    """
    year = pl.col("session_date").dt.year().cast(pl.Int64)
    signals = found.signals.with_columns(mode=pl.lit(mode), run_key=pl.lit(run_key), session_year=year)
    for name, rows in {"signals_live": signals, "scanner_runs": found.runs}.items():
        schema = TABLES[name]
        full = rows.with_columns(pl.lit(None).alias(column) for column in schema.names if column not in rows.columns)
        typed = full.select(schema.names).cast(dict(empty_frame(schema).schema))  # type: ignore[arg-type]
        append_new(lake, exchange, schema, typed, {"run_key": run_key})
    return signals
