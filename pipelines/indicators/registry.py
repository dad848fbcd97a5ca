"""The ordered list of all indicators of a home, and what follows: columns, tail length, state layout.

A home has the built-in ones, those of installed packages, and those that its file chooses: `home_registry` makes the list, and who
works on its tables is handed it, or the file's path (`Lake.indicators`). Nothing here is changed once it is made.

State layout: field 0 is `bars`, the instrument's bars since listing (unit count); then each indicator's fields in order.

Not here: running kernels (`engine`), reading the file of chosen ones (`chosen`). Loads without numba.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from pipelines.indicators.builtin import COLUMNS, INDICATORS
from pipelines.indicators.custom.file import IndicatorFileError, read_indicators
from pipelines.indicators.model import Indicator, Output, StateField

ENTRY_POINT_GROUP = "marketlake.indicators"
BARS = StateField("bars", "count")


class IndicatorPluginError(ValueError):
    """An entry point of the group does not lead to usable indicators; the message names it and what to do."""


class Registry:
    """An ordered collection of indicators with unique names, output columns and state fields."""

    def __init__(self, indicators: Iterable[Indicator] = (), column_order: Iterable[str] = ()) -> None:
        self._indicators: dict[str, Indicator] = {}
        #: Entry points whose indicators are left out, with the reason.
        self.broken: dict[str, str] = {}
        self._column_order = {name: position for position, name in enumerate(column_order)}
        for indicator in indicators:
            self.add(indicator)

    def __iter__(self) -> Iterator[Indicator]:
        return iter(self._indicators.values())

    def __len__(self) -> int:
        return len(self._indicators)

    def __getitem__(self, name: str) -> Indicator:
        if name not in self._indicators:
            raise KeyError(f"no indicator {name!r}; known are {', '.join(self._indicators)}")
        return self._indicators[name]

    def add(self, indicator: Indicator) -> None:
        """Append an indicator.

        Raises ValueError if its name, a column or a state field is taken: two definitions of one column would make results
        depend on the order of installation.
        """
        if indicator.name in self._indicators:
            raise ValueError(f"indicator {indicator.name!r} is registered already; choose another name")
        for kind, new, taken in (
            ("column", [o.name for o in indicator.outputs], set(self.columns()) | {"bars_seen"}),
            ("state field", [f.name for f in indicator.state_fields], {f.name for f in self.state_fields()}),
        ):
            clashes = sorted(name for name in new if name in taken or new.count(name) > 1)
            if clashes:
                raise ValueError(f"indicator {indicator.name!r}: {kind} {', '.join(clashes)} exists already; rename it")
        self._indicators[indicator.name] = indicator

    def outputs(self) -> tuple[Output, ...]:
        """Return all outputs in published order: the contract's columns first, plug-ins after them as registered."""
        found = [output for indicator in self for output in indicator.outputs]
        return tuple(sorted(found, key=lambda output: self._column_order.get(output.name, len(self._column_order))))

    def columns(self) -> tuple[str, ...]:
        """Return the output columns in published order (without `bars_seen`)."""
        return tuple(output.name for output in self.outputs())

    def lookback(self) -> int:
        """Return how many bars before the first new one the engine needs: the longest look-back."""
        return max((indicator.lookback for indicator in self), default=0)

    def state_fields(self) -> tuple[StateField, ...]:
        """Return the fields of a state row in order, `bars` first."""
        return (BARS, *(state_field for indicator in self for state_field in indicator.state_fields))

    def state_width(self) -> int:
        """Return S, the number of float64 in a state row."""
        return len(self.state_fields())

    def state_units(self) -> tuple[str, ...]:
        """Return the unit of each field of a state row."""
        return tuple(state_field.unit for state_field in self.state_fields())


#: The built-in indicators alone.
REGISTRY = Registry(INDICATORS, COLUMNS)


@cache
def installed() -> Registry:
    """The built-in indicators and those of installed packages: what a home without a file of its own has."""
    registry = Registry(INDICATORS, COLUMNS)
    load_plugins(registry)
    return registry


def home_registry(path: Path | None) -> Registry:
    """The indicators of a home whose file of chosen ones this is (None: it has none). Read again when the file has changed.

    The same object as long as nothing has. Raises IndicatorFileError with the line, UserFileError for a file that cannot be read.
    """
    if path is None:
        return installed()
    try:
        about = path.stat()
    except OSError:  # the reader of the file names the fault
        return _chosen(path, None)
    return _chosen(path, (about.st_mtime_ns, about.st_size, about.st_ino))


@lru_cache(maxsize=16)
def _chosen(path: Path, _changed: tuple[int, int, int] | None) -> Registry:
    registry = Registry(installed(), COLUMNS)
    registry.broken.update(installed().broken)
    load_custom(path, registry)
    return registry


def load_plugins(registry: Registry) -> tuple[str, ...]:
    """Add the indicators of installed packages (entry points of group "marketlake.indicators") and return their names.

    An entry point names an `Indicator` or an iterable of them. One that is registered already is left alone, so that calling
    this twice is harmless. An entry point that cannot be loaded, gives something else or takes a name is left out as a whole and
    named in `registry.broken`: the indicators of the others are computed all the same.
    """
    added = []
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda found: (found.name, found.value)):
        try:
            fresh = _fresh(entry, registry)
        except IndicatorPluginError as error:
            registry.broken[entry.name] = str(error)
            continue
        for indicator in fresh:
            registry.add(indicator)
        added += [indicator.name for indicator in fresh]
    return tuple(added)


def _fresh(entry: EntryPoint, registry: Registry) -> list[Indicator]:
    """The indicators of an entry point that are not registered yet. Raises IndicatorPluginError unless all can be."""
    trial = Registry(registry)
    fresh = []
    try:
        loaded = entry.load()
        for indicator in (loaded,) if isinstance(loaded, Indicator) else loaded:
            if not isinstance(indicator, Indicator):
                raise TypeError(f"it gives a {type(indicator).__name__}; it must name an Indicator or an iterable of Indicators")
            if indicator not in tuple(trial):
                trial.add(indicator)
                fresh.append(indicator)
    except (Exception, SystemExit) as error:  # a package of others may fail in any way, and must not take the rest along
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise IndicatorPluginError(
            f"plug-in {entry.name} = {entry.value} brings no indicators ({reason}); fix or uninstall the package"
        ) from error
    return fresh


def load_custom(path: Path | None, registry: Registry) -> tuple[str, ...]:
    """Add the indicators of a file of chosen ones (see `chosen.file`; None: nothing) and return their names.

    Doing so twice is harmless. Raises IndicatorFileError with the line if the file is wrong or a column exists already.
    """
    added = []
    for place, indicator in read_indicators(path) if path else ():
        if indicator in tuple(registry) and indicator.name not in added:
            continue
        try:
            registry.add(indicator)
        except ValueError as error:
            raise IndicatorFileError(f"{place}: {error}; remove this entry or choose other parameters") from error
        added.append(indicator.name)
    return tuple(added)


def extensions_fingerprint(registry: Registry) -> str:
    """What the tables hold beyond the built-in indicators, as a short hash: "built-in" where that is nothing.

    It covers every declaration and the source of every plugged-in kernel's module; the project's own code is covered by
    `resources.code_version`. Rows made under two different values must never stand in one table.
    """
    added = _added(registry)
    if not added:
        return "built-in"
    digest = hashlib.sha256()
    for indicator in added:
        digest.update(repr(indicator).encode())
        module = indicator.kernel.partition(":")[0]
        spec = None if module.startswith("pipelines.") else find_spec(module)
        if spec and spec.origin:
            digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()[:12]


def _added(registry: Registry) -> list[Indicator]:
    return [indicator for indicator in registry if indicator not in INDICATORS]
