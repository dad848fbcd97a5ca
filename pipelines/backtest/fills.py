"""Which bars can be traded on, and by whom: the one rule that the backtest and the track record share.

Lives here: the reference price of a session, sessions locked at a price band, gaps that no trading explains, series that must be
delivered. Does not live here: what an order does at such a bar (`engine/`, `signal_performance/`).

There is no table of every share's daily band, so a locked session is recognised by its prices: on an exchange with bands, all of it
traded at one price, and that price lies at least `locked_move` from the reference price. Who would trade against the move found
nobody on the other side: no buyer can buy at the upper band, no seller sell at the lower one. The narrowest band is 2 %; rounded to
a tick of a cheap share it is less.
"""

from __future__ import annotations

import math

import polars as pl

from pipelines.backtest.actions import UNKNOWN

#: Flags of `blocked`: a purchase, or a sale, cannot be filled at the bar. Both: nothing was traded.
NO_BUYING, NO_SELLING = 1, 2

#: Exchanges with daily price bands, and the bands' widths as a share of the previous close. The widest is also the most that an
#: opening auction can be away from it.
PRICE_BANDS: dict[str, tuple[float, ...]] = {"XNSE": (0.02, 0.05, 0.10, 0.20), "XBOM": (0.02, 0.05, 0.10, 0.20)}

#: Series whose every trade must be delivered (trade to trade): no short position, no exit in the session of the entry. As the
#: scanners' universe has it (`scan.universe`).
TRADE_TO_TRADE = ("BE", "BZ")

#: Sessions without a bar after which an instrument counts as gone: the look-back of the scanners' universe.
GONE_AFTER = 20

_STEP = ("instrument_id", "session_date")
# A previous bar older than this says nothing about today's price.
_REFERENCE_SESSIONS = 10
# Prices at a band are rounded to ticks of up to this size.
_TICK = 0.05
# What rounding and a base price other than the last close (an ETF's net asset value, a special dividend) may add to a band.
_BAND_TOLERANCE = 0.01


def with_limits(bars: pl.DataFrame, effects: pl.DataFrame, locked_move: float) -> pl.DataFrame:
    """Daily bars of one exchange with what limits trading on them, ordered by instrument and session.

    bars: instrument_id, session_date, session_number (of the exchange's sessions, whole numbers), open, high, low, close, and where
    known prev_close, series and volume. effects: of `actions.effects_of`. Adds `reference` (what the price was before the session
    in the session's basis; NULL where unknown), `blocked` (flags of this module), `must_deliver` and `is_unexplained_gap`: the open
    lies further from the reference than the exchange's widest band allows, so that an action is missing from the lake.
    """
    rows = _with_reference(_completed(bars), effects)
    widest = pl.lit(None, pl.Float64)
    for mic, bands in PRICE_BANDS.items():
        widest = pl.when(_is_of(mic)).then(max(bands)).otherwise(widest)
    move = pl.col("high") / pl.col("reference") - 1.0
    # Beyond every band no session is locked: an action changed the price.
    locked = (pl.col("high") == pl.col("low")) & (move.abs() <= widest + _BAND_TOLERANCE)
    blocked = (
        pl.when(pl.col("volume") == 0)
        .then(NO_BUYING | NO_SELLING)
        .when(locked & (move >= locked_move))
        .then(NO_BUYING)
        .when(locked & (move <= -locked_move))
        .then(NO_SELLING)
        .otherwise(0)
    )
    gap = (pl.col("open") / pl.col("reference") - 1.0).abs() > widest + _BAND_TOLERANCE
    return rows.with_columns(
        blocked=blocked.cast(pl.UInt8),
        must_deliver=pl.col("series").is_in(TRADE_TO_TRADE).fill_null(value=False),
        is_unexplained_gap=(gap & pl.col("previous_number").is_not_null()).fill_null(value=False),
    )


def with_minute_limits(minutes: pl.DataFrame) -> pl.DataFrame:
    """One-minute bars with `blocked`.

    minutes: instrument_id, open, high, low, and `reference` of their session. A minute with one price is common, so it counts as
    locked only where that price is one of the exchange's bands away from the reference, to the tick.
    """
    one_price = pl.col("high") == pl.col("low")
    upper, lower = (pl.lit(value=False) for _ in range(2))
    for mic, bands in PRICE_BANDS.items():
        here = _is_of(mic) & one_price
        for band in bands:
            at = [(pl.col("high") - pl.col("reference") * (1 + s * band)).abs() < _TICK - 1e-9 for s in (1, -1)]
            upper, lower = upper | (here & at[0]), lower | (here & at[1])
    blocked = pl.when(upper).then(NO_BUYING).when(lower).then(NO_SELLING).otherwise(0)
    return minutes.with_columns(blocked=blocked.fill_null(0).cast(pl.UInt8))


def missing_actions(limited: pl.DataFrame, flags: pl.DataFrame | None) -> pl.DataFrame:
    """Steps of the price that only an action missing from the lake explains, as actions of unknown ratio, once each.

    limited: of `with_limits`, without those actions. flags: rows of price_flags, None where there are none.
    """
    gaps = limited.filter("is_unexplained_gap").select(*_STEP)
    if flags is not None:
        gaps = pl.concat([gaps, flags.filter(pl.col("flag").str.starts_with("unrecorded_")).select(*_STEP)]).unique()
    steps = gaps.rename({"session_date": "ex_date"}).sort("instrument_id", "ex_date")
    return steps.with_columns(action=pl.lit("demerger"), ratio=pl.lit(None, pl.Float64))


def written_off(price: float, haircut: float) -> float:
    """What a share is worth that can no longer be sold: its last price less the haircut."""
    return price * (1.0 - haircut) if not math.isnan(price) else math.nan


def _is_of(mic: str) -> pl.Expr:
    return pl.col("instrument_id").str.starts_with(f"{mic}:")


def _completed(bars: pl.DataFrame) -> pl.DataFrame:
    kinds = {"prev_close": pl.Float64, "series": pl.String, "volume": pl.Int64}
    return bars.with_columns(pl.lit(None, kind).alias(name) for name, kind in kinds.items() if name not in bars.columns)


def _with_reference(bars: pl.DataFrame, effects: pl.DataFrame) -> pl.DataFrame:
    """`reference` by the bar before, in today's basis, where that is of the session before; else by the vendor's previous close."""
    rows = bars.sort("instrument_id", "session_number")
    same = pl.col("instrument_id") == pl.col("instrument_id").shift()
    rows = rows.with_columns(
        previous_close=pl.when(same).then(pl.col("close").shift()),
        previous_number=pl.when(same).then(pl.col("session_number").shift()),
    ).join(_factors(rows, effects), on=["instrument_id", "session_date"], how="left", maintain_order="left")
    away = pl.col("session_number") - pl.col("previous_number")
    factor = pl.col("factor").fill_null(1.0)
    carried = pl.col("previous_close") * factor
    # A vendor's previous close is as traded before the ex-date with some and adjusted with others.
    vendors = pl.when((pl.col("prev_close") > 0) & (factor == 1.0)).then(pl.col("prev_close"))
    reference = (
        pl.when(pl.col("is_unknown").fill_null(value=False))
        .then(None)
        .when(away == 1)
        .then(carried)
        .otherwise(pl.coalesce(vendors, pl.when(away <= _REFERENCE_SESSIONS).then(carried)))
    )
    return rows.with_columns(reference=reference).drop("previous_close", "factor", "is_unknown")


def _factors(rows: pl.DataFrame, effects: pl.DataFrame) -> pl.DataFrame:
    """By the first bar on or after an ex-date: what the actions left of the price, and whether one of them is unknown."""
    concerned = effects.get_column("instrument_id").unique()
    days = rows.select("instrument_id", "session_date").filter(pl.col("instrument_id").is_in(concerned.implode()))
    days = days.sort("session_date")
    due = effects.sort("ex_date").join_asof(
        days.with_columns(day="session_date"),
        left_on="ex_date",
        right_on="session_date",
        by="instrument_id",
        strategy="forward",
        check_sortedness=False,
    )
    return (
        due.drop_nulls("day")
        .sort("instrument_id", "ex_date", "effect", "action")
        .group_by("instrument_id", "day", maintain_order=True)
        .agg(
            factor=pl.col("price_factor").fill_null(1.0).product(),
            is_unknown=((pl.col("effect") == UNKNOWN) | pl.col("price_factor").is_null()).any(),
        )
        .rename({"day": "session_date"})
    )
