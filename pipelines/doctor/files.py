"""Checks of what the user adds: files of indicators, scanners and universes, and plug-ins.

Lives here: reading each as the next nightly run would. One that is broken is a finding, not the end of the command.
Does not live here: reading them (`indicators/chosen`, `scanners/rules`, `scanners/universes.py`).

Indicators and scanners are imported inside: importing them reads the file of indicators.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipelines.doctor.model import Finding
from pipelines.settings import Settings
from pipelines.storage.location import Lake
from pipelines.user_files import UserFileError

_BROKEN = "mend the file; until then every nightly run and scan fails"


def check_files(settings: Settings, lake: Lake) -> Iterator[Finding]:
    """Indicators, scanners, universes, plug-ins, in the order in which each stands on the one before.

    What stands on a broken file cannot be read and has no finding.
    """
    from pipelines.indicators.custom.file import IndicatorFileError, read_indicators
    from pipelines.indicators.registry import home_registry

    try:
        chosen = read_indicators(settings.indicators) if settings.indicators else ()
        home_registry(settings.indicators)
    except (IndicatorFileError, UserFileError) as error:
        yield Finding("indicators", "error", str(error), _BROKEN)
        return
    yield Finding("indicators", "ok", _count_message(settings.indicators, len(chosen), "chosen"))
    yield from _check_scanners(settings, lake)


def _check_scanners(settings: Settings, lake: Lake) -> Iterator[Finding]:
    from pipelines.scanners.project import HomeProject
    from pipelines.scanners.registry import UniverseError
    from pipelines.scanners.rules.file import RuleFileError
    from pipelines.scanners.universe_names import check_names

    project, added = HomeProject.from_settings(settings), None
    try:
        added = project.additions()
        yield Finding("scanners", "ok", _count_message(settings.scanners, len(added.origins), "added"))
    except (RuleFileError, UserFileError) as error:
        yield Finding("scanners", "error", str(error), _BROKEN)
    except UniverseError as error:
        yield Finding("scanners", "error", str(error), "mend the file of scanners or that of universes; until then both fail")
    try:
        universes = project.universes()
        for mic in settings.exchanges if added else ():
            check_names(lake, settings.exchanges, mic, universes, added.universes() if added else ())
        yield Finding(
            "universes", "ok", _count_message(settings.universes, universes.members["universe_name"].n_unique(), "listed")
        )
    except (UniverseError, UserFileError) as error:
        yield Finding("universes", "error", str(error), _BROKEN)
    if added is not None:
        yield _plugins(settings, added.broken.values())


def _plugins(settings: Settings, broken_scanners: Iterable[str]) -> Finding:
    from pipelines.indicators.registry import home_registry
    from pipelines.sources.registry import load_sources

    reasons = [*map(str, load_sources().broken.values()), *home_registry(settings.indicators).broken.values(), *broken_scanners]
    if reasons:
        return Finding("plug-ins", "warning", f"left out: {'; '.join(reasons)}", "mend or uninstall the package")
    return Finding("plug-ins", "ok", "none is faulty")


def _count_message(path: Path | None, count: int, verb: str) -> str:
    return f"{path}: {count} {verb}" if path else f"no file is set, {count} {verb}"
