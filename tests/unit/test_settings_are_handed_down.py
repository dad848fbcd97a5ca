"""Settings are built where a process begins, and handed down: two homes can live in one process, and each sees its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pipelines"

#: Where a process begins: a command, the code location, what Dagster makes of `dagster.yaml`, a Python model that dbt runs.
BUILD_SETTINGS = {
    "cli/options.py",
    "cli/warm.py",
    "dbt/home_indicators.py",
    "definitions.py",
    "indicators/warm.py",
    "orchestration/compat/home_storage.py",
}
#: Where the environment is the interface of something else: of the terminal, of Dagster's programs and `dagster.yaml`, of dbt's
#: profile, of the machine's user, and of the tests that kill a process.
TOUCH_ENVIRONMENT = {
    "cli/options.py",
    "cli/dagster_process.py",
    "dbt/process.py",
    "process_environment.py",
    "user_cache.py",
    "storage/crash_points.py",
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def called(node: ast.AST) -> str:
    """Last part of the name that a call is made by."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def builds_settings(tree: ast.Module) -> bool:
    return any(called(node) == "Settings" for node in ast.walk(tree))


def touches_environment(tree: ast.Module) -> bool:
    names = {"environ", "getenv", "putenv", "unsetenv", "environb"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and any(alias.name in names for alias in node.names))
        for node in ast.walk(tree)
    )


#: What a home may state, as functions call it that are handed it. Tests may leave it out; then it is what ships.
OF_A_HOME = ("calendars", "indicators", "registry")


def asked_of(tree: ast.Module) -> dict[str, list[tuple[str, int]]]:
    """By function of a module the parameters of `OF_A_HOME` that it has, with how many arguments stand before each."""
    asked = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            places = [argument.arg for argument in node.args.args]
            named = [(argument.arg, len(places)) for argument in node.args.kwonlyargs]
            asked[node.name] = [
                (name, place) for name, place in [*zip(places, range(99), strict=False), *named] if name in OF_A_HOME
            ]
    return asked


def calls_without_home(trees: dict[str, ast.Module]) -> list[str]:
    """Calls of a function with a parameter of `OF_A_HOME` that leave it out: they would see what ships and not what is stated."""
    modules = {"pipelines." + name.removesuffix(".py").replace("/", "."): asked_of(tree) for name, tree in trees.items()}
    found = []
    for name, tree in trees.items():
        known = dict(asked_of(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in modules:
                known |= {alias.asname or alias.name: modules[node.module].get(alias.name, []) for alias in node.names}
        found += [
            f"{name}:{node.lineno}: {called(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            for parameter, place in known.get(called(node), [])
            if len(node.args) <= place and parameter not in {keyword.arg for keyword in node.keywords}
        ]
    return found


def test_only_where_a_process_begins_settings_are_built() -> None:
    assert {name for name, tree in sources() if builds_settings(tree)} == BUILD_SETTINGS


@pytest.mark.slow
@pytest.mark.measured
def test_only_named_boundaries_touch_the_environment() -> None:
    assert {name for name, tree in sources() if touches_environment(tree)} == TOUCH_ENVIRONMENT


@pytest.mark.slow
@pytest.mark.measured
def test_whoever_asks_for_sessions_or_indicators_says_whose() -> None:
    trees = dict(sources())
    assert calls_without_home(trees) == []
    # A lake knows its home's calendars and indicators: it is made of settings, or of the resource that was.
    makers = {name for name, tree in trees.items() if any(called(node) == "Lake" for node in ast.walk(tree))}
    assert makers == {"orchestration/resources.py"}


@pytest.mark.parametrize(
    "planted",
    ["Settings()", "settings.Settings(home='x')", "os.environ['HOME']", "from os import environ", "os.getenv('HOME')"],
)
def test_an_offender_is_found(planted: str) -> None:
    tree = ast.parse(f"def innocent():\n    {planted}\n")
    assert builds_settings(tree) or touches_environment(tree)


def test_a_call_that_forgets_the_home_is_found() -> None:
    tree = ast.parse("def calendar(mic, calendars=None): ...\ncalendar('XNYS')\ncalendar('XNYS', folder)\n")
    assert calls_without_home({"planted.py": tree}) == ["planted.py:2: calendar"]
