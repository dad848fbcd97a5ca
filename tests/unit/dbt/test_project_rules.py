"""Rules that the dbt project keeps: one yml per model, scanners read only schema scan, compiled text runs in any database."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.build.derived_tables import DERIVED
from pipelines.package_data import shipped

MODELS = shipped("dbt_project") / "models"
MODEL_FILES = sorted(p for p in MODELS.rglob("*") if p.suffix in {".sql", ".py"})


@pytest.fixture(scope="module")
def manifest(dbt_manifest: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((dbt_manifest / "manifest.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def nodes(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}


@pytest.mark.parametrize("path", MODEL_FILES, ids=lambda path: path.stem)
def test_every_model_has_one_yml_of_its_own_with_a_description(path: Path) -> None:
    content = yaml.safe_load(path.with_suffix(".yml").read_text(encoding="utf-8"))

    assert [model["name"] for model in content["models"]] == [path.stem]
    assert len(content["models"][0]["description"].split()) >= 4


def test_scanners_read_nothing_but_schema_scan(nodes: dict[str, dict[str, Any]]) -> None:
    schemas = {node["name"]: node["schema"] for node in nodes.values()}
    for node in nodes.values():
        if node["schema"] == "scanners":
            read = {key.split(".")[-1] for key in node["depends_on"]["nodes"]}
            assert {schemas.get(name) for name in read} == {"scan"}, node["name"]
            assert "scan" in node["compiled_code"]


def test_compiled_text_names_no_database_and_no_clock(nodes: dict[str, dict[str, Any]]) -> None:
    for node in nodes.values():
        if node["language"] != "sql":
            continue
        text = re.sub(r"--[^\n]*", "", node["compiled_code"])
        assert '"empty"' not in text, node["name"]
        assert not re.search(r"\b(now|today|current_date|current_timestamp|random|uuid)\b\s*\(", text, re.IGNORECASE), node["name"]
        assert not re.search(r"\b(current_date|current_timestamp)\b", text, re.IGNORECASE), node["name"]


def test_a_test_of_a_model_depends_on_that_model_alone(manifest: dict[str, Any]) -> None:
    """dbt takes up a test with any of its parents: `-s +technical_rsi` would test models that were not built."""
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test" and node["attached_node"]]
    assert tests
    assert [node["name"] for node in tests if node["depends_on"]["nodes"] != [node["attached_node"]]] == []


def test_macros_and_tests_stand_one_to_a_file_named_after_them() -> None:
    for path in sorted([*(shipped("dbt_project") / "macros").glob("*.sql"), *(shipped("dbt_project") / "tests").rglob("*.sql")]):
        names = re.findall(r"{%-?\s*(?:macro|test|materialization)\s+(\w+)", path.read_text(encoding="utf-8"))
        assert names == [path.stem], path.name


def test_the_project_makes_no_call_home_and_needs_no_packages() -> None:
    project = yaml.safe_load((shipped("dbt_project") / "dbt_project.yml").read_text(encoding="utf-8"))

    assert project["flags"]["send_anonymous_usage_stats"] is False
    assert not (shipped("dbt_project") / "packages.yml").exists()


def test_the_project_asks_for_the_dbt_that_the_installation_asks_for() -> None:
    project = yaml.safe_load((shipped("dbt_project") / "dbt_project.yml").read_text(encoding="utf-8"))
    pyproject = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    (dependency,) = (entry for entry in pyproject["project"]["dependencies"] if entry.startswith("dbt-core"))

    assert [bound.removesuffix(".0") for bound in project["require-dbt-version"]] == dependency.removeprefix("dbt-core").split(",")


def test_exposures_name_every_table_that_is_published_and_every_scanner_that_runs_live() -> None:
    models = shipped("dbt_project") / "models"
    exposures = yaml.safe_load((models / "exposures.yml").read_text(encoding="utf-8"))["exposures"]
    read = {exposure["name"]: re.findall(r"ref\('(\w+)'\)", " ".join(exposure["depends_on"])) for exposure in exposures}

    assert sorted(read["catalogue"]) == sorted(DERIVED)
    assert sorted(read["live_scan"]) == sorted(path.stem for path in (models / "scanners").rglob("*.sql"))
