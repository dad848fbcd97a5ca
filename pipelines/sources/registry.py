"""Finding sources by name: the built-in ones and those other packages add.

Lives here: reading the entry-point group `marketlake.sources` and answering a wrong name helpfully.
Does not live here: any format; the names of the built-in sources (`names.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pipelines.sources.names import BUILT_IN, GROUP, UnknownSourceError, unknown_source
from pipelines.sources.protocol import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BUILT_IN", "GROUP", "SourcePluginError", "Sources", "UnknownSourceError", "load_sources", "source"]

_PARTS: Final = ("name", "description", "whole_market", "priority", "publication_lag", "parse", "claims")
#: What the parts must be for the pipeline to work with them.
_KINDS: Final[Mapping[str, Callable[[object], bool]]] = {
    "description": lambda part: isinstance(part, str),
    "whole_market": lambda part: isinstance(part, bool),
    "priority": lambda part: isinstance(part, int) and not isinstance(part, bool),
    "publication_lag": lambda part: isinstance(part, timedelta) and timedelta(0) <= part <= timedelta(days=365),
    "parse": callable,
    "claims": callable,
}


class SourcePluginError(TypeError):
    """An entry point of the group `marketlake.sources` does not lead to a usable source."""


class Sources(Mapping[str, Source]):
    """Sources by name, sorted; plug-ins that cannot be used are left out until one is asked for.

    One broken package must not stop the files of every other source. `sources[name]` raises SourcePluginError for a broken one.
    """

    def __init__(self, usable: Mapping[str, Source], broken: Mapping[str, SourcePluginError]) -> None:
        self._usable = dict(sorted(usable.items()))
        self.broken = MappingProxyType(dict(broken))

    def __getitem__(self, name: str) -> Source:
        """The source called `name`. Raises SourcePluginError for a broken plug-in, KeyError for a name nobody took."""
        if name in self.broken:
            raise self.broken[name]
        return self._usable[name]

    def __contains__(self, name: object) -> bool:
        """Whether a source of that name is usable."""
        return name in self._usable

    def __iter__(self) -> Iterator[str]:
        """Names of the usable sources."""
        return iter(self._usable)

    def __len__(self) -> int:
        """How many sources are usable."""
        return len(self._usable)


@cache
def load_sources() -> Sources:
    """All sources by name. A plug-in that cannot be imported, lacks a part of the protocol or takes a name that is taken is set
    aside with its error; of several plug-ins of one name none is used: which one is meant, nobody could tell.
    """
    usable, broken = {}, {}
    found = _plugins(entry_points(group=GROUP))
    for name, target in BUILT_IN.items():
        usable[name] = _instantiate(name, target)
    names = [entry.name for entry in found]
    for entry in found:
        what = f"entry point {entry.name} = {entry.value} of group {GROUP}"
        if entry.name in BUILT_IN:
            # Asked for by its own name, the built-in source must go on to answer.
            broken[f"{entry.name} ({entry.value})"] = SourcePluginError(f"{what}: the name is taken; rename the plug-in's source")
        elif names.count(entry.name) > 1:
            broken[entry.name] = SourcePluginError(f"{what}: another package brings this name too; uninstall one of them")
        else:
            try:
                usable[entry.name] = _instantiate(entry.name, entry.value)
            except SourcePluginError as error:
                broken[entry.name] = error
    return Sources(usable, broken)


def source(name: str) -> Source:
    """The source called `name`; UnknownSourceError lists the known ones and the nearest spelling.

    Raises SourcePluginError, which names the entry point, when it is there and cannot be used.
    """
    known = load_sources()
    if name in known or name in known.broken:
        return known[name]
    raise unknown_source(name, list(known))


def _plugins(found: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Entry points of other packages, in an order that does not depend on installation."""
    others = {(e.name, e.value): e for e in found if BUILT_IN.get(e.name) != e.value}
    return [others[key] for key in sorted(others)]


def _instantiate(name: str, target: str) -> Source:
    """Import `module:Class`, make one, and check that it has every part of the protocol."""
    module, _, attribute = target.partition(":")
    try:
        candidate = getattr(import_module(module), attribute)()
        parts = {part: getattr(candidate, part, None) for part in _PARTS}
    except (Exception, SystemExit) as error:  # a package of others may fail in any way, and must not take the rest along
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SourcePluginError(
            f"source {name} = {target} cannot be loaded ({reason}). Fix or uninstall the package that provides it"
        ) from error
    missing = [part for part, value in parts.items() if value is None]
    if missing:
        raise SourcePluginError(f"source {name} = {target} lacks {', '.join(missing)}; see docs/how-to-add-a-source.md")
    wrong = [part for part, is_right in _KINDS.items() if not is_right(parts[part])]
    if wrong:
        raise SourcePluginError(f"source {name} = {target} has an unusable {', '.join(wrong)}; see docs/how-to-add-a-source.md")
    found: Source = candidate
    if found.name != name:
        raise SourcePluginError(f"source {name} = {target} calls itself {found.name!r}; both names must be equal")
    return found
