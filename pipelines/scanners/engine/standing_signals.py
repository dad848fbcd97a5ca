"""Signals of events that still hold: what a scan at a cut-off shows of the minutes since the open.

Lives here: which scanners signal events (`event_scanners`), the minutes to look at again (`minutes_since_open`), and which of the
signals found there still hold (`still_holding`).
Does not live here: scanning (`runner.py`); a scanner declares `holds_beyond` in its yml or as a `PythonScanner`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import polars as pl

from pipelines.market.tables.scanning import SCANNER_SIGNALS
from pipelines.scanners.registry import Scanner

_MINUTE = timedelta(minutes=1)
#: Prices are compared as whole ten-thousandths.
_UNITS = 10_000


def event_scanners(scanners: Iterable[Scanner]) -> dict[str, str]:
    """Scanners on record at every bar whose signals hold for a while: name, and the field that the price must stay beyond."""
    return {s.name: s.holds_beyond for s in scanners if s.holds_beyond and "every_bar" in s.moments}


def minutes_since_open(opens_at: datetime, until: datetime) -> list[datetime]:
    """Ends of the session's minutes that had ended `until` then: the moments at which history looks too."""
    return [opens_at + _MINUTE * (number + 1) for number in range((until - opens_at) // _MINUTE)]


def still_holding(signals: pl.DataFrame, last_prices: pl.DataFrame, beyond: Mapping[str, str]) -> pl.DataFrame:
    """Of each scanner, instrument and side the first signal that holds, with the columns of `signals`.

    A BUY holds while the last price stands above the price in the scanner's field, a SELL while below; a tie does not hold, nor
    does one of an instrument without a last price. last_prices: instrument_id and last_price. beyond: as `event_scanners` gives it.
    Raises ValueError where signals lack the field.
    """
    if signals.is_empty():
        return signals
    level = pl.coalesce(
        pl.when(pl.col("scanner_name") == name).then(_price(field)).otherwise(None) for name, field in sorted(beyond.items())
    )
    lacking = signals.filter(level.is_null())["scanner_name"].unique().sort().to_list()
    if lacking:
        raise ValueError(f"scanner {lacking[0]}: its signals have no price {beyond[lacking[0]]!r}; correct holds_beyond")
    side = pl.when(pl.col("signal_type") == "BUY").then(1).otherwise(-1)
    return (
        signals.join(last_prices, on="instrument_id", how="inner")
        .filter(side * (_whole(pl.col("last_price")) - _whole(level)) > 0)
        .sort("ts")
        .unique(["scanner_name", "instrument_id", "signal_type"], keep="first", maintain_order=True)
        .select(signals.columns)
    )


def _price(field: str) -> pl.Expr:
    """A price of the signal itself, or of its details."""
    if field in SCANNER_SIGNALS.names:
        return pl.col(field)
    return pl.col("details").str.json_path_match(f"$.{field}").cast(pl.Float64, strict=False)


def _whole(price: pl.Expr) -> pl.Expr:
    return (price * _UNITS).round().cast(pl.Int64)
