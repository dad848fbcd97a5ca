"""What a source is called and which options it takes, known without importing a reader.

Lives here: the names of the built-in sources, the entry-point group of others, the options of the built-in ones with their choices,
`check_source` and `zone_fault`, which find a wrong name before any library that reads files is imported.
Does not live here: finding and making sources (`registry.py`), what an option does (the source's own module).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

GROUP: Final = "marketlake.sources"

#: Known without an installed distribution too, so that a plain checkout works. The project file lists the same ones.
BUILT_IN: Final = MappingProxyType(
    {
        "actions": "pipelines.sources.actions_csv:ActionsSource",
        "candles": "pipelines.sources.candles:CandlesSource",
        "csv": "pipelines.sources.csv:CsvSource",
        "lean": "pipelines.sources.lean:LeanSource",
        "nse_bhavcopy": "pipelines.sources.nse_bhavcopy:NseBhavcopySource",
        "nse_delivery": "pipelines.sources.nse_delivery:NseDeliverySource",
        "nse_derivatives": "pipelines.sources.nse_derivatives:NseDerivativesSource",
        "nse_indices": "pipelines.sources.nse_indices:NseIndicesSource",
        "nse_ticks": "pipelines.sources.nse_ticks:NseTicksSource",
        "parquet": "pipelines.sources.parquet:ParquetSource",
    }
)

#: Day first or month first.
DATE_ORDERS: Final = ("dmy", "mdy")
#: As traded; with earlier prices divided by later splits; with dividends taken out of them too.
PRICE_BASES: Final = ("as_traded", "split_adjusted", "adjusted")
INTERVALS: Final = ("1d", "1m")
#: Fields of a bar that an option can place in a column of any name.
FIELDS: Final = (
    *("moment", "clock", "symbol", "series", "open", "high", "low", "close", "volume", "turnover", "trades", "prev_close"),
    *("delivery_qty", "isin", "published_by"),
)
#: Options that place a field where its column's name does not tell.
COLUMN_OPTIONS: Final[Mapping[str, None]] = MappingProxyType({f"column.{field}": None for field in FIELDS})

_BARS: Final[dict[str, tuple[str, ...] | None]] = {
    "date_order": DATE_ORDERS,
    "interval": INTERVALS,
    "label": ("start", "end"),
    "price_scale": None,
    "price_basis": PRICE_BASES,
    "volume": ("none",),
    **COLUMN_OPTIONS,
}
#: Options of the built-in sources: the values that each takes, None for free text.
OPTIONS: Final[Mapping[str, Mapping[str, tuple[str, ...] | None]]] = {
    **{name: {} for name in BUILT_IN},
    "actions": {"date_order": DATE_ORDERS},
    "candles": {"interval": INTERVALS},
    "csv": {"columns": None, "decimal": (".", ","), **_BARS},
    "nse_bhavcopy": {"main_series": None},
    "parquet": _BARS,
}


class UnknownSourceError(ValueError):
    """No source of that name; the message lists the known ones."""


class SourceOptionError(ValueError):
    """A source does not take an option, or not that value; the message says what it takes."""


def check_source(name: str, options: Mapping[str, str]) -> None:
    """Raise UnknownSourceError or SourceOptionError for a name or an option that no reading would accept.

    Options of a source of another package are known to that source alone, which refuses wrong ones when it reads.
    """
    if name not in BUILT_IN:
        if name not in entry_points(group=GROUP).names:
            raise unknown_source(name, [*BUILT_IN, *entry_points(group=GROUP).names])
        return
    for option, value in options.items():
        check_option(name, option, value, OPTIONS[name])


def check_option(source: str, option: str, value: str, known: Mapping[str, tuple[str, ...] | None]) -> None:
    """Raise SourceOptionError unless `known`, which gives each option's choices (None: free text), has the option and value."""
    if option not in known:
        if not known:
            raise SourceOptionError(f"the source {source} has no options, not {option}")
        close = difflib.get_close_matches(option, list(known), n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise SourceOptionError(f"the source {source} has no option {option!r}{hint} It has {', '.join(known)}")
    choices = known[option]
    if choices is not None and value not in choices:
        raise SourceOptionError(f"option {option}={value!r} must be one of {', '.join(choices)}")


def unknown_source(name: str, known: list[str]) -> UnknownSourceError:
    """The error that lists the known sources and the nearest spelling."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return UnknownSourceError(f"unknown source {name!r}{hint} Known sources: {', '.join(names)}")


def zone_fault(name: str) -> str | None:
    """What is wrong with the name of a time zone; None for one that there is."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"{name!r} is not known; use an IANA name such as Asia/Kolkata or America/New_York"
    return None
