"""The dbt project of a home: the shipped one and the scanners that are added to it.

Lives here: `HomeProject`: where it is, the scanners that it declares, its manifest, and what the home chooses about scans.
Does not live here: finding and testing what is added (`extensions/`), compiling (`build/compile.py`), running dbt (`dbt/`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from pipelines.build.compile import compile_models
from pipelines.indicators.registry import home_registry
from pipelines.package_data import shipped
from pipelines.scanners.choices import ScanChoices
from pipelines.scanners.extensions.discovery import Extensions, assemble_project, find_extensions
from pipelines.scanners.extensions.smoke_test import usable
from pipelines.scanners.finding_effects import configured_effects
from pipelines.scanners.registry import CompiledScanners, Scanner, load_scanners, read_declaration
from pipelines.scanners.universes import Universes, read_universes

#: Beside a manifest: what it was made of.
MADE_OF = "made_of"
#: Folders that dbt leaves in a project that it is run in.
_MADE_BY_DBT = {"target", "logs"}


class ProjectSettings(Protocol):
    """The settings of a home that say what its project is."""

    @property
    def state_dir(self) -> Path:
        """Derived state of the home."""

    @property
    def indicators(self) -> Path | None:
        """File of chosen indicators."""

    @property
    def scanners(self) -> Path | None:
        """File of rule scanners."""

    @property
    def universes(self) -> Path | None:
        """File or folder of universes."""

    @property
    def liquid_value(self) -> float:
        """Median daily traded value above which an instrument is liquid."""

    @property
    def suspected_actions(self) -> str:
        """What suspected actions do to signals: withhold or mark."""


@dataclass(frozen=True)
class HomeProject:
    """The project of one home, as its settings state it when it is made; files are read when they are asked for.

    state_dir: the home's derived state. indicators, rule_file, universe_files: what MARKETLAKE_INDICATORS, MARKETLAKE_SCANNERS and
    MARKETLAKE_UNIVERSES name. liquid_value: of the universe `liquid`. suspected_actions: what they do to signals.
    """

    state_dir: Path
    indicators: Path | None
    rule_file: Path | None
    universe_files: Path | None
    liquid_value: float
    suspected_actions: str

    @classmethod
    def from_settings(cls, settings: ProjectSettings) -> HomeProject:
        """The project of a home."""
        return cls(
            settings.state_dir,
            settings.indicators,
            settings.scanners,
            settings.universes,
            settings.liquid_value,
            settings.suspected_actions,
        )

    def directory(self) -> Path:
        """The folder of the dbt project; treat it as read-only.

        It is the shipped one, or where scanners are added (MARKETLAKE_SCANNERS, packages), one made of both in the home's state
        folder. Raises RuleFileError, UniverseError.
        """
        found = self.additions()
        return assemble_project(shipped("dbt_project"), found, self._folder) if found.files else shipped("dbt_project")

    def additions(self) -> Extensions:
        """The scanners that are added. Plug-ins that do not run on an empty lake are set aside, with the reason.

        Raises RuleFileError, UniverseError.
        """
        registry = home_registry(self.indicators)
        found = find_extensions(shipped("dbt_project"), self.rule_file, self.universes, registry)
        return usable(found, self._folder, self.indicators)

    def universes(self) -> Universes:
        """The universes of the home. Raises UniverseError naming file and line."""
        return read_universes(self.universe_files, self.liquid_value)

    def choices(self) -> ScanChoices:
        """What the home chooses about its scans. Raises UniverseError."""
        return ScanChoices(self.universes(), configured_effects(self.suspected_actions))

    def fingerprint(self) -> str:
        """What the project's models are made of: a manifest of another one is out of date."""
        return self.additions().fingerprint()

    def declared_scanners(self) -> dict[str, Scanner]:
        """Every scanner as its yml declares it, by name: in milliseconds and without dbt. Raises RuleFileError, UniverseError."""
        import yaml

        # By libyaml, which a PyYAML that was built without it lacks: a tenth of the time, the same content.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        found = {}
        for path in (self.directory() / "models" / "scanners").rglob("*.yml"):
            for model in yaml.load(path.read_text(encoding="utf-8"), Loader=loader).get("models", []):  # noqa: S506
                if "scanner" in model.get("config", {}).get("meta", {}):
                    found[model["name"]] = read_declaration(model, f"scanners.{model['name']}")
        return dict(sorted(found.items()))

    def compile(self, target_dir: Path) -> Path:
        """Compile all models; return the manifest. What the live scan runs.

        A file `made_of` beside it says of which additions (`fingerprint`).
        """
        manifest = compile_models(self.directory(), target_dir, self.indicators)
        (target_dir / MADE_OF).write_text(self.fingerprint(), encoding="utf-8")
        return manifest

    @property
    def manifest_dir(self) -> Path:
        """Where the home keeps its manifest, which all of its exchanges share."""
        return self._folder / "manifest"

    def manifest(self) -> Path:
        """The dbt manifest of the home, made when it is missing, older than the project, or of other added scanners."""
        return _manifest(self, self.fingerprint())

    def compiled(self) -> CompiledScanners:
        """The scanners and the models they stand on, from the manifest of the home."""
        return load_scanners(self.manifest(), self.indicators)

    @property
    def _folder(self) -> Path:
        return self.state_dir / "dbt"


@cache
def _manifest(project: HomeProject, fingerprint: str) -> Path:
    target = project.manifest_dir
    manifest, made_of = target / "manifest.json", target / MADE_OF
    same = made_of.is_file() and made_of.read_text(encoding="utf-8") == fingerprint
    newest = max(p.stat().st_mtime for p in project.directory().rglob("*") if p.is_file() and not _MADE_BY_DBT & {*p.parts})
    if not same or not manifest.exists() or manifest.stat().st_mtime < newest:
        project.compile(target)
    return manifest
