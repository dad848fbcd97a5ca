"""Scanners of installed packages: the entry-point group `marketlake.scanners`.

An entry point names a function without arguments. It returns the path of a folder with SQL models and a yml beside each, or a
`PythonScanner`, or a list of these.

Lives here: finding them, checking what can be checked without a database, and setting a broken one aside with its reason.
Does not live here: putting them into a dbt project (`discovery.py`), trying them out there (`smoke_test.py`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pipelines.scanners.engine.python_scanner import PythonScanner
from pipelines.scanners.registry import ManifestError, read_declaration

ENTRY_POINT_GROUP = "marketlake.scanners"
_NAME = re.compile(r"[a-z][a-z0-9_]{2,59}")
#: How a scanner in SQL ends: with the columns and the known_at that the macro gives.
_END = re.compile(
    r"\b(\w+)\s+as\s*\(\s*\{\{-?\s*signal_rows\s*\((?:(?!\}\}).)*\)\s*-?\}\}\s*\)\s*select\s+\*\s+from\s+\1\s*;?\s*$",
    re.DOTALL | re.IGNORECASE,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}", re.DOTALL)


class ScannerPluginError(ValueError):
    """An entry point of the group does not lead to usable scanners; the message names it and what to do."""


@dataclass(frozen=True)
class Plugin:
    """One entry point's scanners: model files (path below models/scanners to text), names, and those in Python."""

    name: str
    origin: str
    files: Mapping[str, str]
    scanners: tuple[str, ...]
    python: tuple[PythonScanner, ...]
    sources: tuple[str, ...]


@cache
def load_plugins() -> tuple[tuple[Plugin, ...], Mapping[str, str]]:
    """Usable plug-ins by name, and of the others the reason why not."""
    usable: list[Plugin] = []
    broken: dict[str, str] = {}
    taken: set[str] = set()
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: (e.name, e.value)):
        try:
            plugin = _plugin(entry)
            _refuse_taken(plugin, taken)
        except ScannerPluginError as error:
            broken[entry.name] = str(error)
            continue
        taken.update(plugin.scanners)
        usable.append(plugin)
    return tuple(usable), broken


def python_scanner(name: str) -> PythonScanner:
    """The scanner in Python of that name; KeyError when no installed package brings one."""
    found = {scanner.name: scanner for plugin in load_plugins()[0] for scanner in plugin.python}
    if name not in found:
        raise KeyError(f"no installed package brings the scanner {name}; install it again, or delete .state/dbt")
    return found[name]


def _plugin(entry: EntryPoint) -> Plugin:
    origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
    what = f"plug-in {entry.name} = {entry.value}"
    try:
        given = entry.load()()
    except Exception as error:  # a package of others may fail in any way, and must not take the rest along
        raise ScannerPluginError(f"{what} cannot be loaded: {type(error).__name__}: {error}") from error
    parts = [given] if isinstance(given, str | Path | PythonScanner) else given
    if not isinstance(parts, Iterable):
        raise ScannerPluginError(f"{what} gives a {type(given).__name__}; it must give a folder or PythonScanners")
    files: dict[str, str] = {}
    python: list[PythonScanner] = []
    names: list[str] = []
    for part in parts:
        if isinstance(part, PythonScanner):
            files |= _python_files(what, entry.name, part)
            python.append(part)
            names.append(part.name)
        elif isinstance(part, str | Path):
            found = _folder_files(what, entry.name, Path(part))
            files |= found
            names += [Path(name).stem for name in found if name.endswith(".sql")]
        else:
            raise ScannerPluginError(f"{what} gives a {type(part).__name__}; it must give a folder or PythonScanners")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise ScannerPluginError(f"{what} " + (f"brings {', '.join(twice)} twice" if twice else "brings no scanner"))
    return Plugin(entry.name, origin, files, tuple(sorted(names)), tuple(python), tuple(_source(s) for s in python))


def _folder_files(what: str, plugin: str, folder: Path) -> dict[str, str]:
    import yaml

    from pipelines.scanners.extensions.sql_reads import template_faults  # sqlglot, which only added scanners need

    if not folder.is_dir():
        raise ScannerPluginError(f"{what}: {folder} is no folder")
    files: dict[str, str] = {}
    for model in sorted(folder.glob("*.sql")):
        beside = model.with_suffix(".yml")
        if not beside.is_file():
            raise ScannerPluginError(f"{what}: {model.name} has no {beside.name} beside it")
        text, about = model.read_text(encoding="utf-8"), beside.read_text(encoding="utf-8")
        if faults := template_faults(text):
            raise ScannerPluginError(f"{what}: {model.name} {'; it '.join(faults)}")
        if not _END.search(_COMMENT.sub("", text)):
            raise ScannerPluginError(
                f"{what}: {model.name} does not end with a CTE of signal_rows(…) alone and `select * from` it, as docs/scanners.md "
                "shows; the columns of a signal, known_at among them, come from there"
            )
        try:
            content = yaml.safe_load(about)
            (declared,) = content["models"]
            _check_declaration(what, {**declared, "name": declared["name"]}, model.stem)
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, ScannerPluginError):
                raise
            raise ScannerPluginError(f"{what}: {beside.name} is not the yml of one scanner: {error}") from error
        files |= {f"{_folder(plugin)}/{model.name}": text, f"{_folder(plugin)}/{beside.name}": about}
    return files


def _python_files(what: str, plugin: str, scanner: PythonScanner) -> dict[str, str]:
    import yaml

    from pipelines.scanners.extensions.sql_reads import SCHEMA, sql_faults  # sqlglot

    declared = {
        "name": scanner.name,
        "description": scanner.description,
        "config": {"meta": {"scanner": scanner.declaration()}},
    }
    _check_declaration(what, declared, scanner.name)
    for relation, reads in scanner.reads.items():
        where = f" where {reads.where}" if reads.where else ""
        faults = sql_faults(f'select * from {SCHEMA}."{relation}"{where}', {relation.lower()})
        if faults:
            raise ScannerPluginError(f"{what}: scanner {scanner.name}: what it reads of {relation} {'; it '.join(faults)}")
    about = yaml.safe_dump({"models": [declared]}, sort_keys=False, width=130, allow_unicode=True)
    return {f"{_folder(plugin)}/{scanner.name}.py": scanner.model_text(), f"{_folder(plugin)}/{scanner.name}.yml": about}


def _check_declaration(what: str, declared: Mapping[str, Any], name: str) -> None:
    if declared["name"] != name or not _NAME.fullmatch(name):
        raise ScannerPluginError(
            f"{what}: scanner {declared['name']!r}: file and model must bear one name of small letters, digits, _"
        )
    if not str(declared.get("description") or "").strip():
        raise ScannerPluginError(f"{what}: scanner {name} has no description")
    try:
        read_declaration(declared, "")
    except ManifestError as error:
        raise ScannerPluginError(f"{what}: {error}") from error


def _refuse_taken(plugin: Plugin, taken: Collection[str]) -> None:
    clash = sorted(set(plugin.scanners) & set(taken))
    if clash:
        raise ScannerPluginError(f"plug-in {plugin.name}: {', '.join(clash)} is brought by another package too; uninstall one")


def _folder(plugin: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", plugin.lower())


def _source(scanner: PythonScanner) -> str:
    """Text of the module that decides: what a release was built with."""
    module = inspect.getmodule(scanner.decide)
    try:
        text = inspect.getsource(module) if module else ""
    except OSError:
        text = ""
    return f"{scanner.declaration()} {text}"
