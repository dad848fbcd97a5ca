"""Memory layout of the step kernel: records, codes and rules.

Lives here: the numpy record types the compiled kernel works on, their constructors, and the rules of a run with their checks.
Does not live here: what happens at a bar (`kernel`), or frames (`grid`, `portfolio`). Free of numba: importing it is cheap.

Every array is plain memory: a live session can save its account and book with `numpy.save` and go on from there.
Prices and cash are in the instruments' one currency; quantities are whole units, negative for a short position.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

# Why a fill happened. The index is the code that the kernel writes. numba compiles these numbers in, and its cache does not
# notice a change here: whoever changes one changes `kernel.py` too.
REASONS = ("none", "entry", "stop", "target", "signal", "time", "kill_switch", "cash_out", "end", "unadjusted")
ENTRY, STOP, TARGET, SIGNAL, TIME, KILL_SWITCH, CASH_OUT, END, UNADJUSTED = range(1, 10)

BUY, SELL = 1, -1

# Defaults of what limits fills, here and in the settings.
VOLUME_SHARE = 0.1
LOCKED_MOVE = 0.015
DELISTING_HAIRCUT = 0.3

ACCOUNT = np.dtype(
    [
        ("cash", "f8"),
        ("equity", "f8"),
        ("peak", "f8"),  # highest equity so far, the initial cash included
        ("gross", "f8"),  # absolute value of all positions at the last mark
        ("lowest_cash", "f8"),
        ("traded", "f8"),  # value of all fills, both sides
        ("fees", "f8"),
        ("open", "i8"),  # positions held
        ("waiting", "i8"),  # entry orders not yet filled
        ("leaving", "i8"),  # exit orders not yet filled
        ("session", "i8"),  # number of the session of the last step
        ("listed", "i8"),  # instruments with a position or an order: the length of the list in the book
        ("killed", "i8"),  # 1 once the drawdown limit was hit; never reset within a run
        ("refused_slots", "i8"),  # entries not ordered or not filled because every slot was taken
        ("refused_cash", "i8"),  # entries not ordered because not even one unit was affordable
        ("expired", "i8"),  # entry orders that found no tradable price in the session they were for
        ("cut", "i8"),  # entries of which the volume allowed a part only
        ("fills", "i8"),  # rows written to the fill log since it was last emptied
        ("trades", "i8"),  # rows written to the trade log since it was last emptied
    ]
)

BOOK = np.dtype(
    [
        ("quantity", "i8"),
        ("entry_price", "f8"),
        ("entry_step", "i8"),
        ("entry_session", "i8"),
        ("entry_signal", "i8"),
        ("stop", "f8"),  # NaN: none
        ("target", "f8"),  # NaN: none
        ("last", "f8"),  # close of the last bar seen, in today's share basis: what a halted position is marked at
        ("flow", "f8"),  # cash the position has brought so far: entry, fees, dividends, cash for fractions
        ("fees", "f8"),
        ("leave", "i8"),  # reason of a waiting exit order, 0 for none
        ("order", "i8"),  # units of a waiting entry order, signed, 0 for none
        ("order_stop", "f8"),
        ("order_target", "f8"),
        ("order_signal", "i8"),
        ("cost_class", "i8"),  # which of the step's classes of costs the instrument pays by
        ("order_session", "i8"),  # session of the decision; the order lives to the end of the next one
        ("listed", "i8"),  # not of this row's instrument: row k holds the number of the k-th instrument to look at, ascending
    ]
)

# Corporate events, applied before the first trade of their step, in the order of their rows (`actions.effects_of`). `ratio`: new
# units per old (1: none); `dividend`: cash per new unit; `price_factor`: what is left of the price after an action that leaves the
# units alone (demerger, rights; 1: none); `cash_out`: price at which the instrument ceases to exist (NaN: it lives on).
# `successor`: number of the instrument whose units a merger gives, `ratio` for each old one (-1: none), beside `dividend` in cash
# per OLD unit; `successor_price`: the last one known of it (NaN: none yet). `unknown`: 1 where the effect on the price cannot be
# computed.
EVENT = np.dtype(
    [
        ("instrument", "i8"),
        ("ratio", "f8"),
        ("dividend", "f8"),
        ("price_factor", "f8"),
        ("cash_out", "f8"),
        ("successor", "i8"),
        ("successor_price", "f8"),
        ("unknown", "i8"),
    ]
)

# `signal` is the caller's number of the signal, carried into fills and trades.
ORDER = np.dtype([("instrument", "i8"), ("side", "i8"), ("stop", "f8"), ("target", "f8"), ("signal", "i8")])

FILL = np.dtype(
    [("step", "i8"), ("instrument", "i8"), ("quantity", "i8"), ("price", "f8"), ("fee", "f8"), ("reason", "i8"), ("signal", "i8")]
)

TRADE = np.dtype(
    [
        ("instrument", "i8"),
        ("signal", "i8"),
        ("entry_step", "i8"),
        ("exit_step", "i8"),
        ("quantity", "i8"),  # signed, as held at the exit
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("fees", "f8"),
        ("pnl", "f8"),
        ("reason", "i8"),
        ("at_open", "i8"),  # 1 if the exit filled at the bar's open, 0 within the bar or at its close
    ]
)

# Costs of one step: float64[K, 2, 8], by class of instruments, then by holding: row 0 for a position left in the session it was
# entered in, row 1 for one that is held longer. A fill of value v pays v × levy + clip(v × brokerage, least, most) + flat, by its
# own side. An entry pays by row 1; leaving in the same session settles the difference to row 0.
COST_FIELDS = (
    "buy_levy",
    "sell_levy",
    "buy_brokerage",
    "sell_brokerage",
    "brokerage_least",
    "brokerage_most",
    "buy_flat",
    "sell_flat",
)


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


class CompiledRules(NamedTuple):
    """`Rules` as the kernel takes them; 0 or infinity stands for 'no limit'."""

    fraction: float
    max_positions: int
    max_sessions: int
    stop_fraction: float
    target_fraction: float
    kill_drawdown: float
    allow_short: bool
    volume_share: float


@dataclass(frozen=True)
class FillRules:
    """What limits fills and what a delisted share pays: the same for a backtest and for the track record, see `Rules`."""

    volume_share: float | None = VOLUME_SHARE
    locked_move: float = LOCKED_MOVE
    delisting_haircut: float = DELISTING_HAIRCUT


@dataclass(frozen=True)
class Rules:
    """How a portfolio acts on signals.

    initial_cash: in the instruments' currency. fraction: part of equity one position may cost, fees included. max_positions: held
    and ordered together. max_sessions: a position is left at the open after this many sessions, its entry session being the first.
    stop_fraction, target_fraction: distance from the decision's close, for signals that carry no level of their own.
    kill_drawdown: at this fall from the peak of equity everything is sold at the next open and nothing is bought any more.
    allow_short: a SELL without a position opens a short one (the cash market's default is that it does nothing).
    signal_sessions: a signal acts at the latest this many sessions after its own; what became known later is counted and dropped.
    volume_share: an entry takes at most this part of its bar's volume, and what it could not get is not ordered again; None for no
    such limit. locked_move: a session at one price this far from the last one is locked (`fills.with_limits`). delisting_haircut: a
    delisted share pays its last price less this part, unless the action states the amount; Shumway (1997) measured 30 % on average.
    Raises ValueError, naming the field, for a value that makes no sense.
    """

    initial_cash: float = 1_000_000.0
    fraction: float = 0.1
    max_positions: int = 10
    max_sessions: int | None = None
    stop_fraction: float | None = None
    target_fraction: float | None = None
    kill_drawdown: float | None = None
    allow_short: bool = False
    signal_sessions: int = 1
    volume_share: float | None = VOLUME_SHARE
    locked_move: float = LOCKED_MOVE
    delisting_haircut: float = DELISTING_HAIRCUT

    def __post_init__(self) -> None:
        _require(math.isfinite(self.initial_cash) and self.initial_cash > 0, "initial_cash", self.initial_cash, "an amount above 0")
        _require(0 < self.fraction <= 1, "fraction", self.fraction, "above 0 and at most 1")
        _require(self.max_positions >= 1, "max_positions", self.max_positions, "at least 1")
        _require(self.max_sessions is None or self.max_sessions >= 1, "max_sessions", self.max_sessions, "at least 1, or None")
        _require(_is_fraction(self.stop_fraction), "stop_fraction", self.stop_fraction, "between 0 and 1, or None")
        _require(
            self.target_fraction is None or self.target_fraction > 0, "target_fraction", self.target_fraction, "above 0, or None"
        )
        _require(_is_fraction(self.kill_drawdown), "kill_drawdown", self.kill_drawdown, "between 0 and 1, or None")
        _require(self.signal_sessions >= 0, "signal_sessions", self.signal_sessions, "at least 0")
        _require(
            self.volume_share is None or 0 < self.volume_share <= 1,
            "volume_share",
            self.volume_share,
            "above 0 and at most 1, or None",
        )
        _require(0 < self.locked_move < 1, "locked_move", self.locked_move, "between 0 and 1")
        _require(0 <= self.delisting_haircut <= 1, "delisting_haircut", self.delisting_haircut, "from 0 to 1")

    def compiled(self) -> CompiledRules:
        """The same rules in the kernel's form."""
        return CompiledRules(
            fraction=float(self.fraction),
            max_positions=int(self.max_positions),
            max_sessions=int(self.max_sessions or 0),
            stop_fraction=float(self.stop_fraction or math.nan),
            target_fraction=float(self.target_fraction or math.nan),
            kill_drawdown=float(self.kill_drawdown or math.inf),
            allow_short=bool(self.allow_short),
            volume_share=math.inf if self.volume_share is None else float(self.volume_share),
        )

    def as_parameters(self) -> dict[str, float | int | bool | None]:
        """The rules by name, for `config_snapshot` and `run_id`."""
        return asdict(self)


def new_account(initial_cash: float) -> np.ndarray:
    """A fresh account: a record array of length 1 holding `initial_cash`."""
    account = np.zeros(1, dtype=ACCOUNT)
    for name in ("cash", "equity", "peak", "lowest_cash"):
        account[name] = initial_cash
    return account


def new_book(instruments: int, cost_classes: np.ndarray | None = None) -> np.ndarray:
    """An empty book: a record array with one row per instrument. cost_classes: int64[instruments], class 0 for all unless given."""
    book = np.zeros(instruments, dtype=BOOK)
    for name in ("entry_price", "stop", "target", "last", "order_stop", "order_target"):
        book[name] = np.nan
    if cost_classes is not None:
        book["cost_class"] = cost_classes
    return book


def new_logs(fills: int, trades: int) -> tuple[np.ndarray, np.ndarray]:
    """Empty logs for that many fills and trades.

    One step writes at most 4 fills and 2 trades per instrument (reversed at the open, the new position stopped within the bar);
    a whole run at most 2 fills and 1 trade per signal.
    """
    return np.zeros(fills, dtype=FILL), np.zeros(trades, dtype=TRADE)


def _is_fraction(value: float | None) -> bool:
    return value is None or 0 < value < 1


def _require(holds: bool, field: str, value: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"Rules.{field} is {value!r}; it must be {expected}.")
