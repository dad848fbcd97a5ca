"""Files that are made from the code are committed as the generator gives them, and a change of a schema shows in them."""

import json
from pathlib import Path

import pytest
import yaml

from pipelines.build.lake_schema import lake_columns
from pipelines.cli.generate import generated_files, orphaned_files, shipped_tables, stale_files, write_files
from pipelines.indicators.registry import REGISTRY
from pipelines.market.tables import MERGED
from pipelines.market.tables.profiles import profile_schema
from pipelines.storage.relations import sql_type

ROOT = Path(__file__).parents[3]
FILES = generated_files(shipped_tables())


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_is_what_the_generator_gives(name: str) -> None:
    assert stale_files(ROOT, {name: FILES[name]}) == [], "run make generate"


def test_no_committed_yml_says_it_was_generated_and_is_not() -> None:
    assert orphaned_files(ROOT, FILES) == []


def test_a_file_changed_by_hand_or_missing_is_stale_until_it_is_written_again(tmp_path: Path) -> None:
    assert write_files(tmp_path, FILES) == list(FILES)
    assert stale_files(tmp_path, FILES) == []
    changed, missing = "dbt_project/models/staging/_lake.yml", "docs/tables.md"
    (tmp_path / changed).write_text(FILES[changed].replace("Ticker as traded", "Symbol as traded"))
    (tmp_path / missing).unlink()

    assert sorted(stale_files(tmp_path, FILES)) == [changed, missing]
    assert sorted(write_files(tmp_path, FILES)) == [changed, missing]
    assert stale_files(tmp_path, FILES) == []


def test_a_yml_whose_table_is_gone_is_an_orphan(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    kept = {name: text for name, text in FILES.items() if not name.endswith("confluence.yml")}
    assert orphaned_files(tmp_path, kept) == ["dbt_project/models/marts/confluence.yml"]


def test_the_yml_of_sources_lists_what_schema_lake_holds() -> None:
    (source,) = yaml.safe_load(FILES["dbt_project/models/staging/_lake.yml"])["sources"]
    listed = {f"lake.{table['name']}": [column["name"] for column in table["columns"]] for table in source["tables"]}
    assert listed == lake_columns(REGISTRY)


def test_every_scanners_yml_has_the_columns_of_signals_and_words_of_its_own_for_the_rest() -> None:
    signals = shipped_tables()["scanner_signals"]
    scanners = {name: text for name, text in FILES.items() if "/models/scanners/" in name}
    assert len(scanners) == len(list((ROOT / "dbt_project" / "models" / "scanners").rglob("*.sql")))
    for name, text in scanners.items():
        (model,) = yaml.safe_load(text)["models"]
        columns = {column["name"]: column for column in model["columns"]}
        shared = [columns[column.name] for column in signals.columns if column.name in columns]
        assert [c["data_type"] for c in shared] == [sql_type(signals.column(c["name"]).type).lower() for c in shared], name
        assert columns["ts"]["description"] == signals.column("ts").comment
        assert columns["timeframe"]["description"] == signals.column("timeframe").comment
        assert columns["details"]["description"] != signals.column("details").comment


@pytest.mark.parametrize("table", MERGED, ids=lambda table: table.name)
def test_a_suite_asks_of_columns_that_the_profile_has(table) -> None:
    expectations = json.loads(FILES[f"expectations/{table.name}.json"])["expectations"]
    given = [item for each in expectations for item in each["kwargs"].items()]
    asked = {value for key, value in given if key in {"column", "column_A", "column_B"}}
    assert asked
    assert asked - set(profile_schema(table).names) == set()
