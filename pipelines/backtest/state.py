"""What a step of the kernel takes and changes: the state of a portfolio, the bars of a step, the log.

Lives here: the tuples, their constructors, saving and loading a state. Free of numba: importing it is cheap.
Does not live here: the records in the arrays (`layout`), what happens at a bar (`engine/`), frames (`grid`, `portfolio`).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.backtest.layout import ACCOUNT, BOOK, FILL, TRADE


class Bar(NamedTuple):
    """One step's prices, an array of N instruments each, as traded; NaN where an instrument has no bar.

    `sizing` is the price that orders decided at this step are sized with: the instrument's last close of the session.
    """

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    sizing: np.ndarray


class Limits(NamedTuple):
    """What limits fills at one step, an array of N instruments each.

    blocked: uint8, flags of `fills` (1: no purchase, 2: no sale). must_deliver: bool, a position is neither opened short nor left
    in the session of its entry. volume: float64, units traded in the bar, infinite where that is not known.
    """

    blocked: np.ndarray
    must_deliver: np.ndarray
    volume: np.ndarray


class Attributes(NamedTuple):
    """What does not change with the market, an array of N instruments each (or one value for all): class of costs, number of the
    sector, units of a lot, and the tick of the price.
    """

    cost_class: np.ndarray | int = 0
    sector: np.ndarray | int = 0
    lot: np.ndarray | int = 1
    tick: np.ndarray | float = 0.0


class Clock(NamedTuple):
    """Where a step is in time: its number and its session's, both increasing, and whether it is the session's last."""

    step: int
    session: int
    session_ends: bool


class Bars(NamedTuple):
    """Everything the market brings at one step.

    costs: float64[K, 2, 8], see `COST_FIELDS`. events: `EVENT` records of the step, applied before its first trade.
    """

    clock: Clock
    prices: Bar
    limits: Limits
    costs: np.ndarray
    events: np.ndarray


class History(NamedTuple):
    """`Bars` of T steps: sessions int64[T], prices and limits of [T, N], costs of [T, K, 2, 8].

    The events of step t lie between event_offsets t and t + 1.
    """

    sessions: np.ndarray
    prices: Bar
    limits: Limits
    costs: np.ndarray
    events: np.ndarray
    event_offsets: np.ndarray


class Log(NamedTuple):
    """Where a step writes: rows are appended at account.fills and account.trades."""

    fills: np.ndarray
    trades: np.ndarray


class State(NamedTuple):
    """All that a portfolio carries from one step to the next: plain arrays without anything behind them.

    listed: int64[N], of which the first `account.listed` are the instruments with a position or an order, ascending.
    """

    account: np.ndarray
    book: np.ndarray
    listed: np.ndarray

    def save(self, path: Path) -> None:
        """Write the state to a file of numpy's."""
        with path.open("wb") as stream:
            np.savez(stream, **self._asdict())

    @classmethod
    def load(cls, path: Path) -> State:
        """The state that was saved, bit for bit. Raises ValueError where another version of the layout saved it."""
        with np.load(path) as arrays:
            kinds = {name: arrays[name].dtype for name in arrays.files}
            if kinds != {"account": ACCOUNT, "book": BOOK, "listed": np.dtype(np.int64)}:
                raise ValueError(f"{path}: a state of another version of the step kernel; run the backtest from its beginning.")
            return cls(**{name: arrays[name] for name in cls._fields})


def new_state(initial_cash: float, instruments: int, attributes: Attributes | None = None) -> State:
    """A portfolio of nothing but cash. attributes: of the instruments; unless given, one class, one sector, lots of one unit."""
    account, book = np.zeros(1, dtype=ACCOUNT), np.zeros(instruments, dtype=BOOK)
    for name in ("cash", "equity", "peak", "lowest_cash"):
        account[name] = initial_cash
    for name in ("entry_price", "stop", "target", "last", "order_stop", "order_target", "order_price", "extreme"):
        book[name] = np.nan
    book["lot"] = 1
    if attributes is not None:
        for name, values in attributes._asdict().items():
            book[name] = values
    return State(account, book, np.zeros(instruments, np.int64))


def new_log(fills: int, trades: int) -> Log:
    """Empty logs for that many fills and trades.

    One step writes at most 4 fills and 2 trades per instrument (reversed at the open, the new position stopped within the bar);
    a whole run at most 2 fills and 1 trade per signal.
    """
    return Log(np.zeros(fills, dtype=FILL), np.zeros(trades, dtype=TRADE))
