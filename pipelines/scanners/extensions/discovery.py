"""What an installation adds to the dbt project: scanners of its rule file and of installed packages.

Lives here: `Extensions`, their fingerprint, and the project that is the shipped one plus these models.
Does not live here: reading rules (`scanners/rules/`), finding packages (`plugins.py`), running dbt (`dbt/run.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.indicators.registry import Registry
from pipelines.package_data import code_version
from pipelines.scanners.extensions.plugins import Plugin, load_plugins
from pipelines.scanners.rules.columns import rule_columns
from pipelines.scanners.rules.file import read_rules
from pipelines.scanners.rules.model import model_sql, model_yml
from pipelines.scanners.universes import ALL, Universes
from pipelines.user_files import MOST_BYTES

_SECONDS_KEPT = 7 * 24 * 3600
#: Columns that a scanner may give back besides the contract's.
_OPTIONAL = ("sessions_missing",)


@dataclass(frozen=True)
class Extensions:
    """Added models: `files` (path below models/scanners to text), and scanners with where each comes from.

    broken: what was set aside, with the reason. sources: texts of modules that decide, which no model holds.
    """

    files: Mapping[str, str]
    origins: Mapping[str, str]
    sources: tuple[str, ...]
    broken: Mapping[str, str]
    plugins: tuple[Plugin, ...] = ()

    def without(self, broken: Mapping[str, str]) -> Extensions:
        """The same without the plug-ins that `broken` names."""
        kept = tuple(plugin for plugin in self.plugins if plugin.name not in broken)
        gone = {name for plugin in self.plugins if plugin.name in broken for name in plugin.files}
        lost = {name for plugin in self.plugins if plugin.name in broken for name in plugin.scanners}
        return Extensions(
            {path: text for path, text in self.files.items() if path not in gone},
            {name: origin for name, origin in self.origins.items() if name not in lost},
            tuple(source for plugin in kept for source in plugin.sources),
            {**self.broken, **broken},
            kept,
        )

    def fingerprint(self) -> str:
        """A short hash of what is added; "built-in" where that is nothing. Rows made under two values never stand in one table."""
        if not self.files:
            return "built-in"
        content = [sorted(self.files.items()), sorted(self.sources)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]

    def universes_fingerprint(self, universes: Universes) -> str:
        """A short hash of the lists and thresholds that these scanners look at; "all" where they look at everything."""
        asked = self.universes()
        return universes.fingerprint(asked) if asked else ALL

    def universes(self) -> set[str]:
        """Universes besides `all` that these scanners look at."""
        import yaml

        declared = [yaml.safe_load(text)["models"][0] for path, text in self.files.items() if path.endswith(".yml")]
        return {about["config"]["meta"]["scanner"].get("universe", ALL) for about in declared} - {ALL}


def find_extensions(
    shipped_project: Path, rule_file: Path | None, universes: Callable[[], Universes], indicators: Registry
) -> Extensions:
    """What a file of rules and the installed packages add now. universes: reads those of the home, where a scanner names one.
    indicators: the home's, whose columns rules may name.

    Raises RuleFileError, UniverseError.
    """
    found = _additions(shipped_project, rule_file, _content(rule_file), indicators)
    asked = sorted(found.universes())
    known = universes() if asked else None
    for universe in asked:
        assert known is not None
        known.check(universe)
    return found


def _content(path: Path | None) -> bytes:
    """What tells whether the rule file has changed; nothing where `read_rules` is going to refuse the file."""
    try:
        if path is None or not path.is_file():
            return b""
        with path.open("rb") as stream:
            return stream.read(2 * MOST_BYTES)
    except (OSError, ValueError):  # read_rules names the fault
        return b""


def assemble_project(shipped_project: Path, additions: Extensions, folder: Path) -> Path:
    """The shipped project and the added models, in a folder of their own below `folder`; made once per content."""
    made_of = hashlib.sha256(f"{code_version()} {additions.fingerprint()}".encode()).hexdigest()[:12]
    target = folder / f"project-{made_of}"
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    _forget_old(folder)
    growing = folder / f".project-{made_of}.{os.getpid()}"
    shutil.rmtree(growing, ignore_errors=True)
    shutil.copytree(shipped_project, growing, ignore=shutil.ignore_patterns("target", "logs"))
    for path, text in additions.files.items():
        place = growing / "models" / "scanners" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    names = ", ".join(repr(name) for name in sorted(additions.origins))
    macro = f"{{% macro added_scanners() %}}\n  {{{{ return([{names}]) }}}}\n{{% endmacro %}}\n"
    (growing / "macros" / "added_scanners.sql").write_text(macro, encoding="utf-8")
    try:
        growing.rename(target)
    except OSError:
        # Another process was faster; both made the same.
        shutil.rmtree(growing)
    return target


@cache
def _additions(shipped_project: Path, rule_file: Path | None, content: bytes, indicators: Registry) -> Extensions:
    """`content` is the rule file's, so that a changed file is read anew."""
    shipped_names = {path.stem for path in (shipped_project / "models").rglob("*") if path.suffix in {".sql", ".py"}}
    plugins, broken = load_plugins()
    clashing = {
        plugin.name: f"plug-in {plugin.name}: a model is called {', '.join(taken)} already; rename the scanner"
        for plugin in plugins
        if (taken := sorted(set(plugin.scanners) & shipped_names))
    }
    kept = tuple(plugin for plugin in plugins if plugin.name not in clashing)
    of_plugins = {name for plugin in kept for name in plugin.scanners}
    rules = read_rules(rule_file, rule_columns(indicators), shipped_names | of_plugins) if rule_file else ()
    contract = _contract(shipped_project)
    files = {name: text for plugin in kept for name, text in plugin.files.items()}
    for rule in rules:
        files[f"rules/{rule.name}.sql"] = model_sql(rule, rule_columns(indicators))
        files[f"rules/{rule.name}.yml"] = model_yml(rule, contract)
    origins = {name: plugin.origin for plugin in kept for name in plugin.scanners}
    origins |= {rule.name: str(rule_file) for rule in rules}
    sources = tuple(source for plugin in kept for source in plugin.sources)
    return Extensions(files, origins, sources, {**broken, **clashing}, kept)


def _contract(shipped_project: Path) -> list[dict[str, Any]]:
    """Columns that every scanner gives back, from the first built-in one; only some have those of `_OPTIONAL`."""
    import yaml

    text = (shipped_project / "models" / "scanners" / "breakout" / "breakout_20d.yml").read_text(encoding="utf-8")
    columns: list[dict[str, Any]] = yaml.safe_load(text)["models"][0]["columns"]
    return [column for column in columns if column["name"] not in _OPTIONAL]


def _forget_old(folder: Path) -> None:
    """Projects of earlier rule files that nothing has used for a week."""
    for old in folder.glob("project-*"):
        if old.is_dir() and time.time() - old.stat().st_mtime > _SECONDS_KEPT:
            shutil.rmtree(old, ignore_errors=True)
