"""Corporate actions as what they do to a holding: the one reading that the backtest and the track record share.

Lives here: `effects_of`, from rows of corporate_actions to effects in the order in which those of one day apply.
Does not live here: applying them to positions (`engine/`) or to the paths of signals (`signal_performance/`).

Order within a day, by kind of effect:
1. unknown: an action whose effect on the price cannot be computed (no ratio). A holding is closed at its last price before the
   ex-date, so that the other actions of that day find none;
2. units: split, bonus, capital reduction. `ratio` is new shares per old share; several multiply;
3. price: demerger, rights. `ratio` is the price after over the price before; the units stay;
4. dividend: cash per share as it trades on the ex-date, that is after the splits of the same day;
5. merger: `ratio` shares of `successor_id`, and `amount` in cash, for each share given up;
6. ending: a delisting, or a merger for cash alone: `amount` for each share, NULL where it is not stated.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

UNKNOWN, UNITS, PRICE, DIVIDEND, MERGER, ENDING = range(6)

#: Kinds of action that change the number of shares, and those that change the price of each.
UNIT_ACTIONS = ("split", "bonus", "capital_reduction")
PRICE_ACTIONS = ("demerger", "rights")

ACTION_COLUMNS = ("instrument_id", "ex_date", "action", "ratio")
_SCHEMA = {
    "instrument_id": pl.String,
    "ex_date": pl.Date,
    "action": pl.String,
    "ratio": pl.Float64,
    "amount": pl.Float64,
    "successor_id": pl.String,
}


class InputError(ValueError):
    """Bars, signals or actions that a backtest cannot use; the message says which, where, and what is expected."""


def effects_of(actions: pl.DataFrame | None) -> pl.DataFrame:
    """Effects of corporate actions, by ex-date, instrument and their order within the day.

    actions: `ACTION_COLUMNS` and where known amount and successor_id, as in the table corporate_actions; None for none. Returns
    those columns with `effect` (a code of this module) and `price_factor`: what the action leaves of the price (1 where it leaves
    all of it, NULL where that is unknown or depends on the last price). A rename has no effect and no row. Raises InputError for
    missing columns, or a ratio or amount that is none.
    """
    rows = pl.DataFrame(schema=_SCHEMA) if actions is None else require_columns(actions, ACTION_COLUMNS, "actions")
    rows = rows.with_columns(pl.lit(None).alias(name) for name in _SCHEMA if name not in rows.columns)
    rows = rows.select(list(_SCHEMA)).cast(_SCHEMA)  # type: ignore[arg-type]
    _check(rows)
    action, ratio, amount = pl.col("action"), pl.col("ratio"), pl.col("amount")
    units, price = action.is_in(UNIT_ACTIONS), action.is_in(PRICE_ACTIONS)
    for_shares = (action == "merger") & ratio.is_not_null() & pl.col("successor_id").is_not_null()
    ending = (action == "delisting") | ((action == "merger") & ratio.is_null() & amount.is_not_null())
    effect = (
        pl.when(units & ratio.is_not_null())
        .then(UNITS)
        .when(price & ratio.is_not_null())
        .then(PRICE)
        .when((action == "dividend") & amount.is_not_null())
        .then(DIVIDEND)
        .when(for_shares)
        .then(MERGER)
        .when(ending)
        .then(ENDING)
        .when(units | price | (action == "merger"))
        .then(UNKNOWN)
    )
    # Cash that a reduction returns is no part of a factor: how much of the price it was depends on the last price.
    cash_too = (amount > 0) & (action == "capital_reduction")
    factor = (
        pl.when((effect == UNITS) & ~cash_too.fill_null(value=False))
        .then(1.0 / ratio)
        .when(effect == PRICE)
        .then(ratio)
        .when(effect == DIVIDEND)
        .then(1.0)
    )
    return (
        rows.with_columns(effect=effect, price_factor=factor)
        .drop_nulls("effect")
        .sort("ex_date", "instrument_id", "effect", "action", maintain_order=True)
    )


def require_columns(frame: pl.DataFrame, columns: Sequence[str], what: str) -> pl.DataFrame:
    """The frame itself. Raises InputError, naming them, where columns are missing."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InputError(f"{what}: column {', '.join(missing)} missing; needed are {', '.join(columns)}.")
    return frame


def _check(rows: pl.DataFrame) -> None:
    for name, sound, expected in (
        ("ratio", (pl.col("ratio") > 0) & pl.col("ratio").is_finite(), "above 0"),
        ("amount", (pl.col("amount") >= 0) & pl.col("amount").is_finite(), "0 or above"),
    ):
        for row in rows.filter(~sound).head(1).iter_rows(named=True):
            raise InputError(
                f"actions: {row['instrument_id']} {row['ex_date']} {row['action']}: {name} is {row[name]}; it must be {expected}."
            )
