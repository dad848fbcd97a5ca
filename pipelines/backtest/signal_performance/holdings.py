"""What a holding becomes when its instrument ends: bars that nobody traded, but that a holding can be followed on.

Lives here: `with_endings`, the bars of all instruments with what follows the last real one: the successor's bars after a merger,
and a bar at which a holding is paid out. Does not live here: following positions (`trade_simulation.py`), what actions mean
(`backtest/actions.py`).

The same treatment as in a backtest, where the kernel exchanges the shares: only that here a share is followed at its value in its
own old basis, ratio × successor's price + cash, with the successor's later splits undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from pipelines.backtest.actions import ENDING, MERGER, UNKNOWN
from pipelines.backtest.fills import GONE_AFTER, written_off

#: Kinds of bar: traded; the value of a share in its successor's bars; the bar at which a holding is paid out, at its open.
TRADED, CONTINUED, PAID_OUT = range(3)

_PRICES = ("open", "high", "low", "close")


def with_endings(
    rows: pl.DataFrame, effects: pl.DataFrame, dates: Sequence[date], numbers: Sequence[int], haircut: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The bars with `kind`, ordered by instrument and session, and the effects with those that a successor passes on.

    rows: bars of `fills.with_limits`. effects: of `actions.effects_of`. dates, numbers: the exchange's sessions, ascending.
    haircut: part of the last price that a delisted share does not pay, unless the action states the amount. An instrument without a
    bar in more than `GONE_AFTER` sessions on which others had is paid out at its last price; where it trades again, that is another
    holding.
    """
    market = _Endings(rows.with_columns(kind=pl.lit(TRADED)), effects, list(dates), list(numbers), haircut)
    merged = (pl.col("effect") == UNKNOWN) & (pl.col("action") == "merger")
    ending = effects.filter(pl.col("effect").is_in([MERGER, ENDING]) | merged)
    # Latest first: who merges into a company that merges later is followed into the last one.
    for row in ending.sort("ex_date", "instrument_id", descending=[True, False]).iter_rows(named=True):
        market.end(row)
    market.end_silent()
    return market.result()


class _Endings:
    """Bars by instrument while endings are added to them."""

    def __init__(self, rows: pl.DataFrame, effects: pl.DataFrame, dates: list[date], numbers: list[int], haircut: float) -> None:
        self._rows, self._effects, self._haircut = rows, effects, haircut
        self._dates, self._numbers = np.array(dates, dtype="datetime64[D]"), np.array(numbers, dtype=np.int64)
        self._traded = rows.get_column("session_number").unique().sort().to_numpy()
        self._added: dict[str, list[pl.DataFrame]] = {}
        self._unknown: list[dict[str, object]] = []

    def end(self, row: dict[str, object]) -> None:
        """Add what follows a merger or a delisting, if it lies within the bars known and no bar contradicts it."""
        name, ex_date = str(row["instrument_id"]), row["ex_date"]
        assert isinstance(ex_date, date)
        own = self._of(name)
        number = None if own.is_empty() else self._number_on(ex_date)
        if number is None or (own.get_column("session_date") >= ex_date).any():
            return
        last = own.row(-1, named=True)
        price = last["close"] * self._carried(name, last["session_date"], ex_date)
        if row["effect"] == MERGER:
            after = self._of(str(row["successor_id"])).filter(pl.col("session_number") >= number)
            if not after.is_empty():
                self._continue(name, row, ex_date, after)
                return
            # Shares of which no price is known.
            self._unknown.append({**row, "effect": UNKNOWN, "price_factor": None})
        elif row["effect"] == ENDING:
            price = written_off(price, self._haircut) if row["amount"] is None else float(str(row["amount"]))
        self._pay_out(last, number, price)

    def end_silent(self) -> None:
        """Pay out at the last price who has had no bar in more than `GONE_AFTER` sessions."""
        rows = self._all().with_columns(
            at=pl.Series(np.searchsorted(self._traded, self._all().get_column("session_number").to_numpy()))
        )
        following = pl.col("at").shift(-1).over("instrument_id").fill_null(self._traded.size)
        silent = rows.filter((following - pl.col("at") > GONE_AFTER + 1) & (pl.col("kind") != PAID_OUT))
        for last in silent.iter_rows(named=True):
            number = int(self._traded[last["at"] + GONE_AFTER + 1])
            day = self._date_of(number)
            self._pay_out(last, number, last["close"] * self._carried(last["instrument_id"], last["session_date"], day))

    def result(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """All bars and all effects."""
        unknown = pl.DataFrame(self._unknown, schema=self._effects.schema)
        return self._all(), pl.concat([self._effects, unknown])

    def _all(self) -> pl.DataFrame:
        frames = [self._rows, *(frame for frames in self._added.values() for frame in frames)]
        return pl.concat(frames).sort("instrument_id", "session_number")

    def _of(self, name: str) -> pl.DataFrame:
        own = self._rows.filter(pl.col("instrument_id") == name)
        return pl.concat([own, *self._added.get(name, [])]).sort("session_number")

    def _continue(self, name: str, row: dict[str, object], ex_date: date, after: pl.DataFrame) -> None:
        ratio, cash, successor = float(str(row["ratio"])), float(str(row["amount"] or 0.0)), str(row["successor_id"])
        later = self._effects.filter((pl.col("instrument_id") == successor) & (pl.col("ex_date") > ex_date))
        factor = pl.lit(1.0)
        for when, left in later.select("ex_date", "price_factor").drop_nulls().iter_rows():
            factor = factor * pl.when(pl.col("session_date") >= when).then(left).otherwise(1.0)
        passed = [e for e in [*later.iter_rows(named=True), *self._unknown] if e["instrument_id"] == successor]
        self._unknown += [{**e, "instrument_id": name} for e in passed if e["effect"] == UNKNOWN]
        # A bar at which the successor's holders are paid out pays these out as well.
        kind = pl.when(pl.col("kind") == PAID_OUT).then(PAID_OUT).otherwise(CONTINUED).cast(after.schema["kind"])
        self._added.setdefault(name, []).append(
            after.with_columns(
                *(pl.col(price) / factor * ratio + cash for price in _PRICES),
                instrument_id=pl.lit(name),
                kind=kind,
                in_universe=pl.lit(value=False),
            )
        )

    def _pay_out(self, last: dict[str, object], number: int, price: float) -> None:
        row = {name: last[name] for name in self._rows.columns}
        row |= dict.fromkeys(_PRICES, price) | {"session_number": number, "session_date": self._date_of(number), "blocked": 0}
        row |= {"kind": PAID_OUT, "is_gap": False, "must_deliver": False, "in_universe": False}
        frame = pl.DataFrame([row], schema=self._rows.schema)
        self._added.setdefault(str(last["instrument_id"]), []).append(frame)

    def _carried(self, name: str, since: date, until: date) -> float:
        """What the actions after one date and up to another left of a price."""
        own = (pl.col("instrument_id") == name) & (pl.col("ex_date") > since) & (pl.col("ex_date") <= until)
        factor = 1.0
        for left in self._effects.filter(own).get_column("price_factor").drop_nulls():
            factor *= left
        return factor

    def _number_on(self, day: date) -> int | None:
        """Number of the first session on or after a day, None beyond the bars known."""
        at = int(np.searchsorted(self._dates, np.datetime64(day)))
        beyond = at == self._dates.size or self._numbers[at] > self._traded[-1]
        return None if beyond else int(self._numbers[at])

    def _date_of(self, number: int) -> date:
        day: date = self._dates[int(np.searchsorted(self._numbers, number))].item()
        return day
