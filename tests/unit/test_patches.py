"""No test patches a private name of the code it tests: what a test replaces is a parameter, or a public name."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
#: Functions that put something in the place of a name, given an object or a dotted path.
PATCHING = {"setattr", "delattr", "setitem", "delitem", "patch", "object"}


def imported(tree: ast.AST) -> set[str]:
    """Names that a module takes from the package, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pipelines":
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.asname or "pipelines" for alias in node.names if alias.name.split(".")[0] == "pipelines"}
    return names


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def patched_privates(source: str) -> Iterator[str]:
    """Private names of the package that a module sets, deletes or patches."""
    tree = ast.parse(source)
    ours = imported(tree)
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = list(node.targets)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Attribute) and (words := ast.unparse(target).split("."))[0] in ours:
                yield from (".".join(words) for word in words[1:] if is_private(word))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in PATCHING:
            yield from _named(node.args, ours)


def _named(arguments: list[ast.expr], ours: set[str]) -> Iterator[str]:
    """What the arguments of a patching call name: `object, "name"` or `"package.module.name"`."""
    words: list[str] = []
    is_path = bool(arguments) and isinstance(arguments[0], ast.Constant)
    for argument in arguments[: 1 if is_path else 2]:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            words += argument.value.split(".")
        elif isinstance(argument, ast.Name | ast.Attribute):
            words += ast.unparse(argument).split(".")
    if words and (words[0] in ours or words[0] == "pipelines") and any(map(is_private, words)):
        yield ".".join(words)


@pytest.mark.parametrize("module", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_private_names_of_the_package_are_not_patched(module: Path) -> None:
    assert list(patched_privates(module.read_text(encoding="utf-8"))) == []


@pytest.mark.slow
@pytest.mark.measured
def test_programs_given_to_another_interpreter_patch_none_either() -> None:
    """Programs in strings: what of them parses as Python."""
    found = []
    for module in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "pipelines" in node.value and "\n" in node.value:
                try:
                    found += list(patched_privates(node.value))
                except SyntaxError:
                    continue
    assert found == ["gate._suite"]  # the planted one below


PLANTED = """
from pipelines.ingest import gate
gate._suite = None
"""


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('monkeypatch.setattr(gate, "_validate", print)', "gate._validate"),
        ("patch.setattr(gate._Checks, 'run', print)", "gate._Checks.run"),
        ('monkeypatch.setattr("pipelines.cli.nightly._run", print)', "pipelines.cli.nightly._run"),
        ('monkeypatch.setitem(gate._KNOWN, "a", 1)', "gate._KNOWN.a"),
        ('with mock.patch("pipelines.cli.nightly._run"): pass', "pipelines.cli.nightly._run"),
        ('with mock.patch.object(gate, "_validate"): pass', "gate._validate"),
        ("gate._validate = print", "gate._validate"),
        ("del gate._validate", "gate._validate"),
    ],
)
def test_a_patched_private_name_would_be_found(line: str, name: str) -> None:
    assert list(patched_privates(f"from pipelines.ingest import gate\n{line}")) == [name]


@pytest.mark.parametrize(
    "line",
    [
        'monkeypatch.setattr(gate, "suite_path", print)',
        'monkeypatch.setattr("zoneinfo._path", print)',
        "self._lock = 1",
        "found = gate._validate",
        'monkeypatch.setattr(gate, "__file__", "x")',
    ],
)
def test_what_is_public_or_not_ours_may_be_patched(line: str) -> None:
    assert list(patched_privates(f"from pipelines.ingest import gate\n{line}")) == []
