"""What docstrings and comments put into backticks exists: files, folders, and names of the code, the models and the settings."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipelines"
#: Names that describe a pattern: files of vendors by date, an option with a field, and names that depend on
#: what is configured or exist only in a wheel.
PATTERNS = re.compile(r".*(DDM|YYYYMMDD|bhav|_\d{8}).*|column\.FIELD|sma_100|XNYS_lake|pipelines/_shipped/")
#: Modules beside the package: tests, benchmarks, what builds the distribution.
BESIDE = [ROOT / "setup.py", *sorted(path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))]
QUOTED = re.compile(r"`([^`\n]+)`")
FILE, FOLDER, NAME = (
    re.compile(r"[\w./]+\.(py|sql|yml|json|md|toml)"),
    re.compile(r"[\w./]+/"),
    re.compile(r"[A-Za-z_][\w.]*(\(.*\))?"),
)


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            yield node.body[0].value  # type: ignore[attr-defined]


def prose_and_words(text: str) -> tuple[list[str], set[str]]:
    """Docstrings and comments of a module, and every word of the rest."""
    quoted = list(docstrings(ast.parse(text)))
    starts = {(node.lineno, node.col_offset) for node in quoted}
    prose, words = [str(node.value) for node in quoted], set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            prose.append(token.string)
        elif not (token.type == tokenize.STRING and token.start in starts):
            words |= set(re.findall(r"\w+", token.string))
    return prose, words


def words_of(path: Path) -> set[str]:
    """Every word of a file outside prose, its name, and those of its folders."""
    text = path.read_text(encoding="utf-8")
    return {path.stem, *path.parts} | (prose_and_words(text)[1] if path.suffix == ".py" else set(re.findall(r"\w+", text)))


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Every word of code, models and suites outside prose, and the names of their files and folders."""
    paths = (p for folder in (PACKAGE, ROOT / "dbt_project", ROOT / "expectations") for p in folder.rglob("*"))
    suffixes = {".py", ".sql", ".yml", ".json", ".csv"}
    return set().union(*(words_of(path) for path in paths if path.suffix in suffixes and "target" not in path.parts))


@pytest.fixture(scope="module")
def words_beside(words: set[str]) -> set[str]:
    """The same with the words of tests and benchmarks, which only they may name."""
    return words.union(*map(words_of, BESIDE))


def missing(prose: str, module: Path, words: set[str]) -> list[str]:
    """What the prose of a module names and does not exist: a path counts from the module's folder, the package or the checkout."""
    wrong = []
    for name in QUOTED.findall(prose):
        if PATTERNS.fullmatch(name):
            continue
        if FILE.fullmatch(name) or FOLDER.fullmatch(name):
            places = [folder / name for folder in (module.parent, PACKAGE, ROOT)]
            found = any(place.exists() for place in places)
            # A model or a page has a name of its own.
            found = found or (
                not name.endswith((".py", "/")) and any(any(ROOT.joinpath(d).rglob(name)) for d in ("dbt_project", "docs"))
            )
        else:
            found = not NAME.fullmatch(name) or set(re.findall(r"\w+", name.split("(")[0])) <= words
        if not found:
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_a_module_names_exists(module: Path, words: set[str]) -> None:
    prose, _ = prose_and_words(module.read_text(encoding="utf-8"))
    assert [name for text in prose for name in missing(text, module, words)] == []


@pytest.mark.parametrize("module", BESIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_module_beside_the_package_names_exists(module: Path, words_beside: set[str]) -> None:
    prose, _ = prose_and_words(module.read_text(encoding="utf-8"))
    assert [name for text in prose for name in missing(text, module, words_beside)] == []


def test_a_name_that_does_not_exist_would_be_found(words: set[str]) -> None:
    text = "`HomeLock` of `storage/lock.py` and `no_such_folder/`, unlike `home_lock()`, `locks.py` and `dbt_project/`"
    assert missing(text, PACKAGE / "storage" / "locks.py", words) == ["HomeLock", "storage/lock.py", "no_such_folder/"]


def test_a_planted_offender_is_found_in_docstrings_and_comments(tmp_path: Path, words: set[str]) -> None:
    planted = tmp_path / "planted.py"
    docstring, comment = '"""Lives here: `no_such_name`, `gone.py`."""', "# as `neither_this` does"
    planted.write_text(f"def run():\n    {docstring}\n    return 1  {comment}\n")
    prose, own = prose_and_words(planted.read_text())
    found = [name for text in prose for name in missing(text, planted, words | own)]
    assert sorted(found) == ["gone.py", "neither_this", "no_such_name"]
