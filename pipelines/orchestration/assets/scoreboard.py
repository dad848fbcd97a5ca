"""The scoreboard of an exchange as an asset: a page, beside the view that its release publishes.

Lives here: when the page is written, and what Dagster shows of it.
Does not live here: the page (`reports/scoreboard.py`), the figures (`storage/scoreboard.py`).
"""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from pipelines.ingest.freshness import require_bars
from pipelines.market.tables.views import SCOREBOARD
from pipelines.orchestration.keys import RESEARCH, table_key
from pipelines.orchestration.metadata import link, preview, schema_metadata
from pipelines.orchestration.resources import MarketlakeResource
from pipelines.package_data import code_version
from pipelines.reports.file_names import scoreboard_name
from pipelines.storage.scoreboard import READ
from pipelines.storage.step_records import StepRecord, hash_heads, hash_parts
from pipelines.whole_files import hash_file

_SHOWN = ("kind", "name", "horizon", "outcomes", "win_rate", "base_rate", "edge", "verdict")


def scoreboard_asset(mic: str, strategies: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """The page of every scanner and run. strategies: assets whose runs it waits for."""

    @dg.asset(
        key=table_key(mic, "scoreboard"),
        deps=[*(table_key(mic, name) for name in ("scanner_performance", "risk_report")), *strategies],
        group_name=RESEARCH,
        kinds={"html"},
        description="Every scanner and every backtest after costs, beside its base rate: the view `scoreboard` as a page, linked "
        "from the index of all reports.",
        metadata={"dagster/column_schema": schema_metadata(SCOREBOARD)},
    )
    def scoreboard(context: dg.AssetExecutionContext, marketlake: MarketlakeResource) -> dg.MaterializeResult[None]:
        from pipelines.reports.scoreboard import write_scoreboard

        lake, path = marketlake.lake, marketlake.reports_dir / scoreboard_name(mic)
        require_bars(lake, mic)
        record = StepRecord.of(marketlake.state_dir, mic, "scoreboard")
        made_of = hash_parts(code_version(), hash_heads(lake, mic, READ))
        if path.is_file() and record.holds(made_of, hash_file(path)):
            return dg.MaterializeResult(metadata={"report": link(path), "note": "nothing of it changed"})
        _, rows = write_scoreboard(lake, mic, marketlake.reports_dir)
        record.write(made_of, hash_file(path))
        best = rows.filter(pl.col("edge").is_not_null()).sort("edge", descending=True).select(_SHOWN)
        return dg.MaterializeResult(metadata={"report": link(path), "rows": rows.height, "best": preview(best)})

    return scoreboard
