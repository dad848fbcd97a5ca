"""Stage `live`: the scan of a batch of closed one-minute bars.

Lives here: the live assets of one exchange.
Does not live here: the scan (`live/`), what launches it (`orchestration/sensors.py`).
"""

from pathlib import Path

import dagster as dg

from pipelines.live.inbox import inbox_folder, newest_batch, run_key
from pipelines.live.scan import scan_batch
from pipelines.live.scan_store import LiveScanError
from pipelines.market.tables import TABLES
from pipelines.orchestration.keys import LIVE, table_key
from pipelines.orchestration.metadata import preview, row_count, schema_metadata
from pipelines.orchestration.resources import MarketlakeResource
from pipelines.storage.delta import LakeTable


class LiveBatch(dg.Config):
    """The batch to scan: a file name in the exchange's inbox folder; the newest one when none is named."""

    file: str | None = None


def live_assets(mic: str) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The inbox and the live signals of one exchange."""
    inbox = dg.AssetSpec(
        table_key(mic, "live_inbox"),
        group_name=LIVE,
        description=f"Folder <inbox>/{mic}: files of closed one-minute bars, dropped by a feed.",
        kinds={"file"},
    )
    return [inbox, _signals_live(mic)]


def _signals_live(mic: str) -> dg.AssetsDefinition:
    # No writer's lock: a live scan appends to tables of its own and must not wait for a nightly run.
    @dg.asset(
        key=table_key(mic, "signals_live"),
        deps=[table_key(mic, "live_inbox"), table_key(mic, "release")],
        group_name=LIVE,
        kinds={"delta", "duckdb"},
        description="Signals of the compiled scanners as of the newest live bar, on the history of the latest release.",
        metadata={"dagster/column_schema": schema_metadata(TABLES["signals_live"])},
    )
    def signals_live(
        context: dg.AssetExecutionContext, config: LiveBatch, marketlake: MarketlakeResource
    ) -> dg.MaterializeResult[None]:
        folder = inbox_folder(Path(marketlake.inbox), mic)
        path = folder / (config.file or _newest(folder, marketlake.max_live_file_mb << 20))
        if path.parent != folder:
            raise LiveScanError(f"{config.file!r} is not a file name in {folder}")
        key = run_key(mic, path)
        scan = scan_batch(marketlake.lake, mic, path, marketlake.project, limits=marketlake.limits, run_key=key)
        return dg.MaterializeResult(
            metadata={
                "file": path.name,
                "as_of": str(scan.as_of),
                "bars": scan.bars,
                "rows_quarantined": scan.quarantined,
                "signals": scan.signals.height,
                **row_count(LakeTable(marketlake.lake.table_uri(mic, "signals_live"), TABLES["signals_live"])),
                "release_id": scan.release_id,
                "coverage": preview(scan.runs),
                "newest": preview(scan.signals),
            }
        )

    return signals_live


def _newest(folder: Path, max_bytes: int) -> str:
    name = newest_batch(folder, max_bytes)
    if name is None:
        raise LiveScanError(f"{folder} holds no batch: drop a csv of closed one-minute bars there")
    return name
