"""What a home states about its builds: universes, effects of findings, and a fingerprint of code and additions.

Lives here: `configure_build`.
Does not live here: the build that takes it (`build/prepare.py`).
"""

from __future__ import annotations

from collections.abc import Collection

from pipelines.build.prepare import BuildConfiguration
from pipelines.indicators.registry import extensions_fingerprint, home_registry
from pipelines.package_data import code_version
from pipelines.scanners.project import HomeProject
from pipelines.scanners.universe_names import check_names
from pipelines.storage.location import Lake


def configure_build(exchanges: Collection[str], project: HomeProject) -> BuildConfiguration:
    """The configuration of builds of a home, whose exchanges and project these are. Raises RuleFileError, UniverseError."""
    choices, added = project.choices(), project.additions()
    universes, effects = choices.universes, choices.finding_effects
    looked_at = added.universes_fingerprint(universes)
    stated = ",".join(f"{finding}={effect}" for finding, effect in effects.iter_rows()) or "default"
    indicators = extensions_fingerprint(home_registry(project.indicators))
    fingerprint = f"{code_version()} indicators:{indicators} scanners:{added.fingerprint()} universes:{looked_at} findings:{stated}"

    def check_universes(lake: Lake, exchange: str) -> None:
        check_names(lake, exchanges, exchange, universes, added.universes())

    return BuildConfiguration(fingerprint, universes.members, universes.rules, effects, check_universes)
