"""The dbt project of this installation: the shipped one and the scanners that are added to it.

Lives here: where it is, the scanners that it declares, and its manifest.
Does not live here: finding and testing what is added (`extensions/`), compiling (`build/compile.py`), running dbt (`dbt/`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pipelines.build.compile import compile_models
from pipelines.package_data import shipped
from pipelines.scanners.extensions.discovery import Extensions, assemble_project, find_extensions
from pipelines.scanners.extensions.smoke_test import usable
from pipelines.scanners.registry import Scanner, read_declaration
from pipelines.settings import Settings

#: Beside a manifest: what it was made of.
MADE_OF = "made_of"
#: Folders that dbt leaves in a project that it is run in.
_MADE_BY_DBT = {"target", "logs"}


def dbt_project_dir() -> Path:
    """The folder of the dbt project; treat it as read-only.

    It is the shipped one, or where this installation adds scanners (MARKETLAKE_SCANNERS, packages), one made of both in the home's
    state folder. Raises RuleFileError, UniverseError.
    """
    found = additions()
    return assemble_project(shipped("dbt_project"), found, _projects()) if found.files else shipped("dbt_project")


def additions() -> Extensions:
    """The scanners that this installation adds. Plug-ins that do not run on an empty lake are set aside, with the reason.

    Raises RuleFileError, UniverseError.
    """
    return usable(find_extensions(shipped("dbt_project")), _projects())


def project_fingerprint() -> str:
    """What the project's models are made of: a manifest of another one is out of date."""
    return additions().fingerprint()


def _projects() -> Path:
    return Settings().state_dir / "dbt"


def declared_scanners() -> dict[str, Scanner]:
    """Every scanner as its yml declares it, by name: in milliseconds and without dbt. Raises RuleFileError, UniverseError."""
    import yaml

    found = {}
    for path in (dbt_project_dir() / "models" / "scanners").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            if "scanner" in model.get("config", {}).get("meta", {}):
                found[model["name"]] = read_declaration(model, f"scanners.{model['name']}")
    return dict(sorted(found.items()))


def compile_project(target_dir: Path) -> Path:
    """Compile all models of this installation; return the manifest. What the live scan runs.

    A file `made_of` beside it says of which additions (`project_fingerprint`).
    """
    manifest = compile_models(dbt_project_dir(), target_dir)
    (target_dir / MADE_OF).write_text(project_fingerprint(), encoding="utf-8")
    return manifest


def manifest_path(target: Path) -> Path:
    """The dbt manifest in `target`, made when it is missing, older than the project, or of other added scanners."""
    return _manifest(target, project_fingerprint())


@cache
def _manifest(target: Path, fingerprint: str) -> Path:
    manifest, made_of = target / "manifest.json", target / MADE_OF
    same = made_of.is_file() and made_of.read_text(encoding="utf-8") == fingerprint
    newest = max(p.stat().st_mtime for p in dbt_project_dir().rglob("*") if p.is_file() and not _MADE_BY_DBT & {*p.parts})
    if not same or not manifest.exists() or manifest.stat().st_mtime < newest:
        compile_project(target)
    return manifest
