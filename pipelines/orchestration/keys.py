"""Asset keys and groups, each named once.

Lives here: how a table of an exchange is called in Dagster, and the stages that group assets.
Does not live here: the assets (`assets/`).
"""

from __future__ import annotations

from typing import Final

import dagster as dg

#: Stages of the pipeline, in order; asset groups bear these names, after the exchange where several are configured.
SOURCES: Final = "sources"
LAKE: Final = "lake"
BUILD_INPUTS: Final = "build_inputs"
INDICATORS: Final = "indicators"
SCAN_INPUTS: Final = "scan_inputs"
SCANNERS: Final = "scanners"
MARTS: Final = "marts"
RESEARCH: Final = "research"
LIVE: Final = "live"
RELEASE: Final = "release"

#: The scanner whose signals are backtested every night.
BACKTESTED_SCANNER: Final = "breakout_20d"
#: How the name of a strategy file's asset begins.
STRATEGY_PREFIX: Final = "strategy_"

#: Lake tables that ingest stages, gates and publishes, in this order.
INGESTED: Final = (
    "instruments",
    "instrument_aliases",
    "corporate_actions",
    "bars_daily",
    "bars_other_series",
    "bars_1m",
    "bars_1m_extended",
)

#: Assets that are made outside Dagster and may be named as dependencies. A test holds the graph to this list.
EXTERNAL: Final = ("vendor_files", "live_inbox")


def table_key(mic: str, table: str) -> dg.AssetKey:
    """Key of an exchange's table: the exchange's MIC, then the table."""
    return dg.AssetKey([mic, table])


def staged_key(mic: str, table: str) -> dg.AssetKey:
    """Key of a staged table."""
    return table_key(mic, f"staged_{table}")


def in_group_of_its_exchange(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The asset in a group that bears its exchange too, `XNYS_lake`.

    The graph shows a node by the last part of its key: where several exchanges share a home, only the group tells them apart.
    """
    return spec.replace_attributes(group_name=f"{spec.key.path[0]}_{spec.group_name}")
