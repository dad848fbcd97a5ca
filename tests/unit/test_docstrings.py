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
#: Names that describe a pattern: files of vendors by date, an option with a field, and names that depend on what is configured.
PATTERNS = re.compile(r".*(DDM|YYYYMMDD|bhav|_\d{8}).*|column\.FIELD|sma_100|XNYS_lake")
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


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Every word of code, models and suites outside prose, and the names of their files and folders."""
    found: set[str] = set()
    for path in (p for folder in (PACKAGE, ROOT / "dbt_project", ROOT / "expectations") for p in folder.rglob("*")):
        if path.suffix in {".py", ".sql", ".yml", ".json", ".csv"} and "target" not in path.parts:
            text = path.read_text(encoding="utf-8")
            found |= {path.stem, *path.parts} | (
                prose_and_words(text)[1] if path.suffix == ".py" else set(re.findall(r"\w+", text))
            )
    return found


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


def test_a_name_that_does_not_exist_would_be_found(words: set[str]) -> None:
    text = "`HomeLock` of `storage/lock.py` and `no_such_folder/`, unlike `home_lock()`, `locks.py` and `dbt_project/`"
    assert missing(text, PACKAGE / "storage" / "locks.py", words) == ["HomeLock", "storage/lock.py", "no_such_folder/"]
