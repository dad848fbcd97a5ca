"""What this installation states about its builds: universes, effects of findings, and a fingerprint of code and additions.

Lives here: `configure_build`.
Does not live here: the build that takes it (`build/prepare.py`).
"""

from __future__ import annotations

from collections.abc import Collection

from pipelines.build.prepare import BuildConfiguration
from pipelines.indicators.registry import extensions_fingerprint
from pipelines.package_data import code_version
from pipelines.scanners.finding_effects import configured_effects
from pipelines.scanners.project import additions
from pipelines.scanners.universe_names import check_names
from pipelines.scanners.universes import configured_universes
from pipelines.storage.location import Lake


def configure_build(exchanges: Collection[str]) -> BuildConfiguration:
    """The configuration of builds of this home, whose exchanges these are. Raises RuleFileError, UniverseError."""
    universes, effects, added = configured_universes(), configured_effects(), additions()
    looked_at = added.universes_fingerprint(universes)
    stated = ",".join(f"{finding}={effect}" for finding, effect in effects.iter_rows()) or "default"
    fingerprint = (
        f"{code_version()} indicators:{extensions_fingerprint()} scanners:{added.fingerprint()} universes:{looked_at} "
        f"findings:{stated}"
    )

    def check_universes(lake: Lake, exchange: str) -> None:
        check_names(lake, exchanges, exchange, universes, added.universes())

    return BuildConfiguration(fingerprint, universes.members, universes.rules, effects, check_universes)
