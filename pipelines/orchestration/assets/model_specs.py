"""How dbt's nodes are called and described in Dagster: keys, groups, metadata, checks, and the relations that a build prepares.

Lives here: the translator of an exchange, the groups of models, the specs of what models read beside the lake.
Does not live here: running dbt (`models.py`), the models (`dbt_project/`), what all assets have (`orchestration/catalog.py`).
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

from pipelines.build.derived_tables import DERIVED, derived_schemas
from pipelines.build.plan import INPUTS
from pipelines.orchestration.keys import BUILD_INPUTS, INDICATORS, MARTS, SCAN_INPUTS, SCANNERS, table_key
from pipelines.orchestration.metadata import schema_metadata
from pipelines.orchestration.partitions import session_partitions
from pipelines.scanners.project import HomeProject

_INTERMEDIATE = "intermediate"
#: Group of a model by its folder. Models in `intermediate` go where what reads them is.
_GROUPS = {
    "staging": INDICATORS,
    "indicators": INDICATORS,
    "scan": SCAN_INPUTS,
    "scanners": SCANNERS,
    "marts": MARTS,
    _INTERMEDIATE: MARTS,
}

#: What a generic dbt test asks of a model, in words. Arguments of the test stand in braces.
_ASKS = {
    "unique_combination": "No two rows have the same {columns}.",
    "no_nulls": "Every row has {columns}.",
    "accepted_values": "{column_name} is one of {values}.",
    "within": "{column_name} lies between {low} and {high}, both included.",
    "not_before": "{column_name} is never before {other}.",
    "same_columns": "Columns and types are those of the lake's table {table_name}.",
    "usable_prices": "An order could bear entry, stop and target: above zero, and on the right side of the entry.",
    "not_null": "Every row has {column_name}.",
    "unique": "No two rows have the same {column_name}.",
}


class ExchangeTranslator(DagsterDbtTranslator):
    """Names dbt's nodes for one exchange: lake tables and published models bear the exchange's MIC, helpers a folder besides."""

    def __init__(self, mic: str, project: HomeProject, calendars: Path | None = None) -> None:
        # Source tests must not become checks on lake assets: the dbt step would own the key and disarm the blocking gate.
        super().__init__(settings=DagsterDbtTranslatorSettings(enable_source_tests_as_checks=False))
        self.mic = mic
        self._project = project
        self._calendars = calendars

    @cached_property
    def _project_dir(self) -> Path:
        return self._project.directory()

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """`{MIC}/{table}` for lake tables and published models, `{MIC}/{folder}/{model}` for the models between.

        What a build prepares beside the lake tables (its windows, rows carried over from the last build) is `{MIC}/build/{name}`.
        """
        name = dbt_resource_props["name"]
        if dbt_resource_props["resource_type"] == "source":
            return table_key(self.mic, name) if name in INPUTS else dg.AssetKey([self.mic, "build", name])
        if name in DERIVED:
            return table_key(self.mic, name)
        return dg.AssetKey([self.mic, dbt_resource_props["fqn"][1], name])

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        """dbt's own, with the relation named as in the build database of the exchange, and with a model's text and file.

        The columns of lake tables are those of their schema, which knows plugged-in and chosen indicators too.
        """
        props = dbt_resource_props
        # dbt's own name begins with the database that the manifest was made with, and would be the same for every exchange.
        relation = f"{self.mic}.{props['schema']}.{props['name']}"
        metadata = {**super().get_metadata(props), "dagster/table_name": relation}
        if props["resource_type"] != "model":
            return metadata
        if props["name"] in DERIVED:
            metadata["dagster/column_schema"] = schema_metadata(derived_schemas(self._project.indicators)[props["name"]])
        file = dg.LocalFileCodeReference(file_path=str(self._project_dir / props["original_file_path"]))
        metadata["dagster/code_references"] = dg.CodeReferencesMetadataValue(code_references=[file])
        metadata["model"] = dg.MetadataValue.md(f"```{props['language']}\n{props['raw_code']}\n```")
        return metadata

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The model's description alone: the catalog shows one line. The text of the model is metadata."""
        return str(dbt_resource_props.get("description") or "")

    def get_partitions_def(self, dbt_resource_props: Mapping[str, Any]) -> dg.PartitionsDefinition | None:
        """Sessions for the tables that the lake keeps. What helps to make them lives for one run and has no sessions to fill."""
        return session_partitions(self.mic, self._calendars) if dbt_resource_props["name"] in DERIVED else None

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The group by the model's folder; of scanners that an installation adds too."""
        if dbt_resource_props["resource_type"] == "source":
            return None
        return _GROUPS.get(dbt_resource_props["fqn"][1], SCANNERS)

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetCheckSpec | None:
        """dbt's test as a check, described in words, since its name is cut from the arguments; none of them blocking.

        A test that fails fails dbt, and with it the step, before anything is committed. Of a blocking check without a result
        Dagster would skip all that reads its asset, and a night with nothing new has none.
        """
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        return dg.AssetCheckSpec(
            spec.name,
            asset=spec.asset_key,
            description=spec.description or describe_test(self.get_resource_props(manifest, unique_id)),
            additional_deps=spec.additional_deps,
            blocking=False,
            metadata=spec.metadata,
        )


def describe_test(test: Mapping[str, Any]) -> str:
    """What a dbt test asks, in words: its own description, else by its kind and arguments."""
    if test.get("description"):
        return str(test["description"])
    kind = test.get("test_metadata") or {"name": "", "kwargs": {}}
    given = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in kind["kwargs"].items()}
    return _ASKS.get(kind["name"], "").format_map(given)


def group_intermediate(models: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The models, those of the folder `intermediate` in the first stage that they lead to: so no group reads a later one."""
    specs = {spec.key: spec for spec in models.specs}
    readers: dict[dg.AssetKey, set[dg.AssetKey]] = defaultdict(set)
    for spec in specs.values():
        for dep in spec.deps:
            readers[dep.asset_key].add(spec.key)

    def groups_behind(key: dg.AssetKey) -> set[str | None]:
        behind: set[dg.AssetKey] = set()
        ahead = [key]
        while ahead:
            new = readers[ahead.pop()] - behind
            behind |= new
            ahead += new
        return {specs[reader].group_name for reader in behind if not _is_intermediate(reader)}

    def grouped(spec: dg.AssetSpec) -> dg.AssetSpec:
        if not _is_intermediate(spec.key):
            return spec
        behind = groups_behind(spec.key)
        group = INDICATORS if INDICATORS in behind else SCAN_INPUTS if behind & {SCAN_INPUTS, SCANNERS} else MARTS
        return spec.replace_attributes(group_name=group)

    return models.map_asset_specs(grouped)


def _is_intermediate(key: dg.AssetKey) -> bool:
    return len(key.path) > 2 and key.path[1] == _INTERMEDIATE


def build_inputs(mic: str, project: HomeProject, models: dg.AssetsDefinition) -> list[dg.AssetSpec]:
    """What a build prepares for its models beside the lake tables, as far as any reads it."""
    translator = ExchangeTranslator(mic, project)
    read = {dep.asset_key for spec in models.specs for dep in spec.deps}
    sources = json.loads(project.manifest().read_text(encoding="utf-8"))["sources"].values()
    return [
        dg.AssetSpec(
            key,
            group_name=BUILD_INPUTS,
            description=translator.get_description(props),
            kinds={"duckdb"},
            metadata={**translator.get_metadata(props), "dagster/storage_kind": "duckdb"},
        )
        for props in sources
        if props["name"] not in INPUTS and (key := translator.get_asset_key(props)) in read
    ]
