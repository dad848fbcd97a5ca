"""Frames of few bars and signals, and the outcomes that follow from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.signal_performance.charges import charges
from pipelines.backtest.signal_performance.market import Market, build_market
from pipelines.backtest.signal_performance.outcomes import signal_outcomes
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame

Ohlc = tuple[float, float, float, float]


@dataclass(frozen=True)
class World:
    """Daily bars by instrument and session, minutes and actions of one exchange."""

    mic: str = "XNYS"
    bars: Mapping[str, Mapping[date, Ohlc]] = field(default_factory=dict)
    minutes: Sequence[tuple[str, datetime, float, float, float, float]] = ()
    actions: Sequence[tuple[object, ...]] = ()  # instrument, ex-date, action, ratio, then amount and successor where there are any
    bps: float = 0.0
    series: Mapping[str, str] = field(default_factory=dict)
    prev_close: Mapping[tuple[str, date], float] = field(default_factory=dict)
    flags: Sequence[tuple[str, date, str]] = ()

    def frame(self) -> pl.DataFrame:
        rows = [(name, day, *bar) for name, days in self.bars.items() for day, bar in days.items()]
        schema = {
            "instrument_id": pl.String,
            "session_date": pl.Date,
            **dict.fromkeys(("open", "high", "low", "close"), pl.Float64),
        }
        bars = pl.DataFrame(rows, schema=schema, orient="row")
        known = [self.prev_close.get(key) for key in bars.select("instrument_id", "session_date").rows()]
        series = pl.col("instrument_id").replace_strict(self.series, default=None, return_dtype=pl.String)
        return bars.with_columns(series=series, prev_close=pl.Series(known, dtype=pl.Float64))

    def market(self) -> Market:
        """The arrays that outcomes are found on."""
        types = {"instrument_id": pl.String, "ex_date": pl.Date, "action": pl.String, "ratio": pl.Float64}
        more = {"amount": pl.Float64, "successor_id": pl.String}
        rows = [(*action, None, None)[:6] for action in self.actions]
        flags = pl.DataFrame(self.flags, schema=["instrument_id", "session_date", "flag"], orient="row") if self.flags else None
        return build_market(self.frame(), pl.DataFrame(rows, schema=types | more, orient="row"), calendar(self.mic).frame(), flags)

    def outcomes(self, *signals: Mapping[str, object]) -> pl.DataFrame:
        """Rows of `signal_outcomes`."""
        names = {"instrument_id": pl.String, "ts": pl.Datetime("us", "UTC")}
        prices = dict.fromkeys(("open", "high", "low", "close"), pl.Float64)
        market = self.market()
        minutes = pl.DataFrame(self.minutes, schema=names | prices, orient="row")
        given = pl.DataFrame(list(signals)).pipe(_completed, self.mic)
        of_day = lambda day: minutes.filter(pl.col("ts").dt.date() == day)  # noqa: E731
        return signal_outcomes(
            market,
            given,
            of_day,
            charges(self.mic, market.dates, CostSettings(self.bps), np.zeros(len(market.instruments), np.int64)),
        )


def _completed(rows: pl.DataFrame, mic: str) -> pl.DataFrame:
    schema = empty_frame(TABLES["scanner_signals"]).schema
    filled = rows.with_columns(pl.lit(None).alias(name) for name in schema if name not in rows.columns)
    return filled.with_columns(exchange=pl.lit(mic)).select(list(schema)).cast(dict(schema))


@pytest.fixture(scope="session")
def world() -> type[World]:
    return World


@pytest.fixture(scope="session")
def signal() -> Callable[..., dict[str, object]]:
    """A signal of a session's close, known then (or `known` later), with the price of decision and levels."""

    def made(
        instrument: str = "A",
        day: date = date(2023, 11, 20),
        side: str = "BUY",
        *,
        mic: str = "XNYS",
        price: float = 100.0,
        stop: float | None = None,
        target: float | None = None,
        ts: datetime | None = None,
        known: timedelta = timedelta(0),
        scanner: str = "s",
    ) -> dict[str, object]:
        at = ts or calendar(mic).session(day).closes_at
        return {
            "signal_id": f"{scanner}-{instrument}-{at:%Y%m%d%H%M}-{side}",
            "scanner_name": scanner,
            "instrument_id": instrument,
            "symbol": instrument,
            "session_date": day,
            "ts": at,
            "known_at": at + known,
            "signal_type": side,
            "entry_price": price,
            "stop_loss": stop,
            "target_price": target,
        }

    return made


@pytest.fixture(scope="session")
def flat() -> Callable[..., dict[date, Ohlc]]:
    """Bars of every session between two dates at one price, some replaced."""

    def made(first: date, last: date, price: float = 100.0, mic: str = "XNYS", **changed: Ohlc) -> dict[date, Ohlc]:
        days = [s.session_date for s in calendar(mic).between(first, last)]
        replaced = {date.fromisoformat(name.removeprefix("d").replace("_", "-")): bar for name, bar in changed.items()}
        return dict.fromkeys(days, (price, price, price, price)) | replaced

    return made


@pytest.fixture(scope="session")
def at() -> Callable[..., datetime]:
    """A moment in UTC."""
    return lambda *parts: datetime(*parts, tzinfo=UTC)
