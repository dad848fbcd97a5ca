"""A newcomer finds by file names alone what docs/architecture.md promises to be where."""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "pipelines"


def folders() -> set[str]:
    return {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}


def test_the_page_names_every_package_and_no_other() -> None:
    table = PAGE[PAGE.index("## Packages") : PAGE.index("| where is")]
    named = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert named == folders() - {"bundled"}


def test_the_page_lists_packages_in_the_order_in_which_they_may_import() -> None:
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.search(r"^layers = \[(.*?)^\]", contract, re.MULTILINE | re.DOTALL)
    assert layers is not None
    height = {name: -n for n, line in enumerate(layers[1].splitlines()) for name in re.findall(r"\w+", line)}
    table = PAGE[PAGE.index("## Packages") : PAGE.index("| where is")]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert [height[name] for name in named] == sorted(height[name] for name in named)


@pytest.mark.parametrize(
    ("question", "file", "word"),
    [
        ("a vendor format parsed", "sources/nse_bhavcopy.py", r"^class NseBhavcopySource\b"),
        ("a row rule", "quality/row_rules.py", r"^ +Rule\(.*\"from_the_future\""),
        ("a session turned into a release", "storage/releases.py", r"^def record_release\("),
        ("RSI", "indicators/kernels/momentum.py", r"^def rsi\("),
        ("a scanner's SQL compiled", "build/compile.py", r"^def compile_models\("),
        ("the gate", "ingest/gate.py", r"^def validate_batch\("),
        ("a symbol resolved", "identity/resolve.py", r"^def resolve\("),
    ],
)
def test_the_page_answers_where_something_is(question: str, file: str, word: str) -> None:
    (row,) = re.findall(rf"^\| {re.escape(question)} \| (.*) \|$", PAGE, re.MULTILINE)
    assert f"`{file}`" in row
    assert re.search(word, (PACKAGE / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_file_that_the_page_names_as_an_answer_exists() -> None:
    answers = PAGE[PAGE.index("| where is") : PAGE.index("`dbt_project/` holds")]
    named = [name for name in re.findall(r"`([\w./]+)`", answers) if "/" in name]
    assert len(named) > 10
    assert [name for name in named if not ((PACKAGE / name).exists() or (ROOT / name).exists())] == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports for types count: a reader goes in circles there too."""
    graph = grimp.build_graph("pipelines", exclude_type_checking_imports=False)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert sum(map(len, imports.values())) > 1_000
    TopologicalSorter(imports).prepare()
    imports["pipelines.market.exchanges"].add("pipelines.market.calendar")
    with pytest.raises(CycleError):
        TopologicalSorter(imports).prepare()
