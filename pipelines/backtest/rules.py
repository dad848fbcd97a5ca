"""The rules of a run: how a portfolio acts on signals.

Lives here: `Rules` with its checks, and the same in the kernel's form.
Does not live here: what happens at a bar (`engine/`), records (`layout`), how a person writes rules down (`strategies/`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

# Defaults of what limits fills, here and in the settings.
VOLUME_SHARE = 0.1
LOCKED_MOVE = 0.015
DELISTING_HAIRCUT = 0.3

#: Which positions a session's last bar closes: none, short ones, all.
SQUARE_OFF = ("never", "shorts", "all")
#: What an entry fills at: the open after its decision, or the decision's own close.
FILL_AT = ("next_open", "close")


# Rules that runs before them were recorded without.
_LATER = frozenset(
    (
        "trail_fraction",
        "fill_at",
        "slippage_bps",
        "slippage_ticks",
        "order_sessions",
        "square_off",
        "exit_on_signal",
        "leverage",
        "max_exposure",
        "sector_share",
        "max_entries",
        "overdraw",
    )
)


class CompiledRules(NamedTuple):
    """`Rules` as the kernel takes them; 0, NaN or infinity stands for 'no limit'."""

    fraction: float
    max_positions: int
    max_sessions: int
    stop_fraction: float
    target_fraction: float
    trail_fraction: float
    kill_drawdown: float
    allow_short: bool
    volume_share: float
    buying_power: float
    borrowing: float
    overdraw: bool
    sector_share: float
    max_entries: float
    order_sessions: int
    slippage_rate: float
    slippage_ticks: float
    square_off: int
    exit_on_signal: bool
    fill_at_close: bool


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

    trail_fraction: distance of a stop that follows the best price since the entry. fill_at: `FILL_AT`. slippage_bps,
    slippage_ticks: how much worse than its price an order fills, limits and targets apart. order_sessions: how many sessions an
    entry order waits. square_off: `SQUARE_OFF`. exit_on_signal: whether a signal of the other side closes a position. leverage:
    what positions may cost together, in equities. max_exposure: the same limit without borrowing. sector_share: part of equity that
    the positions of one sector may cost. max_entries: entries that fill in a session. overdraw: whether a gap between decision and
    fill may take cash below what leverage lets borrow; else the entry buys what the cash there is pays.
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
    trail_fraction: float | None = None
    fill_at: str = "next_open"
    slippage_bps: float = 0.0
    slippage_ticks: float = 0.0
    order_sessions: int = 1
    square_off: str = "never"
    exit_on_signal: bool = True
    leverage: float = 1.0
    max_exposure: float | None = None
    sector_share: float | None = None
    max_entries: int | None = None
    overdraw: bool = True

    def __post_init__(self) -> None:
        _require(math.isfinite(self.initial_cash) and self.initial_cash > 0, "initial_cash", self.initial_cash, "an amount above 0")
        _require(0 < self.fraction <= 1, "fraction", self.fraction, "above 0 and at most 1")
        _require(self.max_positions >= 1, "max_positions", self.max_positions, "at least 1")
        _require(self.max_sessions is None or self.max_sessions >= 1, "max_sessions", self.max_sessions, "at least 1, or None")
        _require(_is_fraction(self.stop_fraction), "stop_fraction", self.stop_fraction, "between 0 and 1, or None")
        _require(
            self.target_fraction is None or self.target_fraction > 0, "target_fraction", self.target_fraction, "above 0, or None"
        )
        _require(_is_fraction(self.trail_fraction), "trail_fraction", self.trail_fraction, "between 0 and 1, or None")
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
        _require(self.fill_at in FILL_AT, "fill_at", self.fill_at, " or ".join(FILL_AT))
        _require(self.square_off in SQUARE_OFF, "square_off", self.square_off, " or ".join(SQUARE_OFF))
        _require(self.order_sessions >= 1, "order_sessions", self.order_sessions, "at least 1")
        _require(self.max_entries is None or self.max_entries >= 1, "max_entries", self.max_entries, "at least 1, or None")
        _require(1 <= self.leverage < math.inf, "leverage", self.leverage, "at least 1")
        for name in ("slippage_bps", "slippage_ticks"):
            _require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "0 or more")
        for name in ("max_exposure", "sector_share"):
            _require(getattr(self, name) is None or getattr(self, name) > 0, name, getattr(self, name), "above 0, or None")

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
            trail_fraction=float(self.trail_fraction or 0.0),
            buying_power=min(self.leverage, math.inf if self.max_exposure is None else self.max_exposure) + 0.0,
            borrowing=float(self.leverage - 1.0),
            overdraw=bool(self.overdraw),
            sector_share=math.inf if self.sector_share is None else float(self.sector_share),
            max_entries=math.inf if self.max_entries is None else float(self.max_entries),
            order_sessions=int(self.order_sessions),
            slippage_rate=self.slippage_bps / 1e4,
            slippage_ticks=float(self.slippage_ticks),
            square_off=SQUARE_OFF.index(self.square_off),
            exit_on_signal=bool(self.exit_on_signal),
            fill_at_close=self.fill_at == "close",
        )

    def as_parameters(self) -> dict[str, Any]:
        """The rules by name, for `config_snapshot` and `run_id`. A rule added later stands there only where it is used.

        So a run is the same run, whatever rules it does not use this version of the kernel has.
        """
        unused = {field.name for field in fields(self) if field.name in _LATER and getattr(self, field.name) == field.default}
        return {name: value for name, value in asdict(self).items() if name not in unused}


def _is_fraction(value: float | None) -> bool:
    return value is None or 0 < value < 1


def _require(holds: bool, field: str, value: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"Rules.{field} is {value!r}; it must be {expected}.")
