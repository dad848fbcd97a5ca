"""What Dagster's catalog shows of every asset beside what its factory says: owner, tags, where its rows are, its code.

Lives here: filling that in for all assets of a home, at one place.
Does not live here: descriptions, kinds and columns (`assets/`), keys and groups (`keys.py`), figures of a run (`metadata.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import dagster as dg

from pipelines.build.database import build_path
from pipelines.orchestration.keys import (
    BACKTESTED_SCANNER,
    BUILD_INPUTS,
    INDICATORS,
    LAKE,
    LIVE,
    MARTS,
    RELEASE,
    RESEARCH,
    SCAN_INPUTS,
    SCANNERS,
    SOURCES,
    STRATEGY_PREFIX,
    in_group_of_its_exchange,
)
from pipelines.reports.file_names import report_name, scoreboard_name, strategy_report_name
from pipelines.settings import Settings
from pipelines.storage.location import Lake

_ENGINEERS, _RESEARCHERS = "team:data-engineering", "team:research"
#: Who answers for the assets of a stage. A dbt model may name another owner in its yml (`meta.dagster.owners`).
OWNERS: Final = {
    SOURCES: _ENGINEERS,
    LAKE: _ENGINEERS,
    BUILD_INPUTS: _ENGINEERS,
    INDICATORS: _RESEARCHERS,
    SCAN_INPUTS: _RESEARCHERS,
    SCANNERS: _RESEARCHERS,
    MARTS: _RESEARCHERS,
    RESEARCH: _RESEARCHERS,
    RELEASE: _ENGINEERS,
    LIVE: _ENGINEERS,
}

#: Assets whose lake table bears another name than they do.
_TABLES: Final = {"risk_report": "risk_var"}
#: Assets with columns that are no table of the lake: a view of the catalogue, shown as a page.
_VIEWS: Final = ("scoreboard",)


def describe_assets(
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec], settings: Settings
) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets with owner, tags, storage and code, and in groups by exchange where the home has several."""
    described = dg.map_asset_specs(partial(_described, settings=settings), [_with_code(asset) for asset in assets])
    return described if len(settings.exchanges) == 1 else dg.map_asset_specs(in_group_of_its_exchange, described)


def _described(spec: dg.AssetSpec, settings: Settings) -> dg.AssetSpec:
    mic, stage = spec.key.path[0], str(spec.group_name)
    table = _lake_table(spec)
    return spec.merge_attributes(
        owners=[] if spec.owners else [OWNERS[stage]],
        tags={"marketlake/exchange": mic, "marketlake/stage": stage},
        kinds={"delta"} if table else set(),
        metadata={**_stored(spec, table, settings), **_report(spec, settings)},
    )


def _with_code(asset: dg.AssetsDefinition | dg.AssetSpec) -> dg.AssetsDefinition | dg.AssetSpec:
    """The asset with the function that makes it, unless it names its files already, as dbt's models do.

    Files are those that this process imported, so of an installed package the installed ones.
    """
    if not isinstance(asset, dg.AssetsDefinition) or any("dagster/code_references" in spec.metadata for spec in asset.specs):
        return asset
    (with_code,) = dg.with_source_code_references([asset])
    if not isinstance(with_code, dg.AssetsDefinition):
        raise TypeError(f"{asset} is no AssetsDefinition any more: {type(with_code)}")
    return with_code


def _lake_table(spec: dg.AssetSpec) -> str | None:
    """The table of the lake that the asset is, if it is one: staged rows are files, and helpers live in the build database."""
    name = spec.key.path[-1]
    if len(spec.key.path) > 2 or name in _VIEWS or name.startswith("staged_") or "dagster/column_schema" not in spec.metadata:
        return None
    return _TABLES.get(name, name)


def _report(spec: dg.AssetSpec, settings: Settings) -> dict[str, Any]:
    """The address at which the asset's report opens, where anything serves it."""
    mic, name = spec.key.path[0], spec.key.path[-1]
    reports = {"risk_report": report_name(mic, BACKTESTED_SCANNER), "scoreboard": scoreboard_name(mic)}
    file = strategy_report_name(mic, name) if name.startswith(STRATEGY_PREFIX) else reports.get(name)
    if file is None or settings.reports_url is None:
        return {}
    return {"open_report": dg.MetadataValue.url(f"{settings.reports_url.rstrip('/')}/{quote(file)}")}


def _stored(spec: dg.AssetSpec, table: str | None, settings: Settings) -> dict[str, Any]:
    """Where the asset's rows are. The name of a table bears its exchange: Dagster links assets of one name as if they were one."""
    mic, name = spec.key.path[0], spec.key.path[-1]
    if len(spec.key.path) > 2:
        return {"dagster/uri": str(build_path(settings.state_dir, mic))}
    if table is not None:
        return {
            "dagster/table_name": f"{mic}.{table}",
            "dagster/storage_kind": "delta",
            "dagster/uri": Lake.from_settings(settings).table_uri(mic, table),
        }
    places = {
        "release": settings.catalogue_link,
        "live_inbox": (settings.inbox or settings.home / "inbox") / mic,
        "scoreboard": settings.reports_dir / scoreboard_name(mic),
    }
    if name.startswith("staged_"):
        return {"dagster/uri": str(settings.state_dir / "staged" / mic)}
    return {"dagster/uri": str(places[name])} if name in places else {}
