"""What a command says of packages that are installed and do not work.

Lives here: `warn_of_faulty_plugins`.
Does not live here: finding them (`sources/registry.py`, `indicators/registry.py`, `scanners/extensions/plugins.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.cli.console import warn

if TYPE_CHECKING:
    from pipelines.settings import Settings


def warn_of_faulty_plugins(settings: Settings) -> None:
    """Name the packages whose sources, indicators or scanners are left out of what follows."""
    from pipelines.indicators.registry import home_registry
    from pipelines.scanners.extensions.plugins import load_plugins
    from pipelines.sources.registry import load_sources

    indicators = home_registry(settings.indicators)
    for reason in [*map(str, load_sources().broken.values()), *indicators.broken.values(), *load_plugins()[1].values()]:
        warn(reason)
