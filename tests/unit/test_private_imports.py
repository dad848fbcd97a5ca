"""No test imports private parts of a library, so that an upgrade breaks what it changed and not the tests of something else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
#: They hold what `pipelines/` uses of the kind, by name; and the one helper that needs some of it.
GUARDS = {"unit/orchestration/test_compat.py", "unit/dbt/test_dbt_api.py", "support/dbt_connections.py"}
#: Modules below these are no part of what their libraries document, whatever they are called.
UNDOCUMENTED = ("dbt.adapters.", "dagster_dbt.", "dagster_postgres.", "dagster_webserver.", "great_expectations.")


def private_imports(source: str) -> Iterator[str]:
    """Modules and names of other people's libraries that a program imports though they are private."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in found if _is_private(name))


def _is_private(name: str) -> bool:
    words = name.split(".")
    if words[0] in {"pipelines", "tests", "__future__"}:
        return False
    return name.startswith(UNDOCUMENTED) or any(word.startswith("_") and not word.startswith("__") for word in words)


def _programs(module: Path) -> Iterator[str]:
    """A module and the programs that it gives to other interpreters: strings with an import that parse as Python."""
    source = module.read_text(encoding="utf-8")
    yield source
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value:
            try:
                ast.parse(node.value)
            except SyntaxError:
                continue
            yield node.value


@pytest.mark.parametrize("module", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_private_parts_of_libraries_are_imported_by_guards_alone(module: Path) -> None:
    if module == Path(__file__) or str(module.relative_to(TESTS)) in GUARDS:
        return
    assert [name for program in _programs(module) for name in private_imports(program)] == []


@pytest.mark.parametrize("guard", sorted(GUARDS))
def test_a_guard_imports_some(guard: str) -> None:
    assert list(private_imports((TESTS / guard).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("from dagster._core.events import StepFailureData", "dagster._core.events.StepFailureData"),
        ("import dagster._utils.error", "dagster._utils.error"),
        ("def later():\n    from deltalake import _internal", "deltalake._internal"),
        (
            "from dbt.adapters.duckdb.connections import DuckDBConnectionManager",
            "dbt.adapters.duckdb.connections.DuckDBConnectionManager",
        ),
        (
            "from great_expectations.core.expectation_suite import ExpectationSuite",
            "great_expectations.core.expectation_suite.ExpectationSuite",
        ),
    ],
)
def test_a_private_import_would_be_found(line: str, name: str) -> None:
    assert list(private_imports(line)) == [name]


@pytest.mark.parametrize(
    "line",
    [
        "import dagster as dg",
        "from dbt.cli.main import cli",
        "from __future__ import annotations",
        "from pipelines.ingest import gate",
    ],
)
def test_what_is_public_or_ours_may_be_imported(line: str) -> None:
    assert list(private_imports(line)) == []
