"""The backtest and the track record see the same fills: one signal at a time, on markets with everything that limits them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.costs import FlatCosts
from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.frames import trades_frame
from pipelines.backtest.grid import Grid, build_grid, place_signals
from pipelines.backtest.limits import PlacedMarket, place_market
from pipelines.backtest.portfolio import cost_sheet_of, simulate
from pipelines.backtest.rules import Rules
from pipelines.backtest.signal_performance.charges import charges
from pipelines.backtest.signal_performance.market import build_market
from pipelines.backtest.signal_performance.outcomes import signal_outcomes
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame

MIC = "XNSE"
SESSIONS = calendar(MIC).between(date(2023, 1, 2), date(2023, 8, 31))
NAMES = tuple(
    f"{MIC}:{name}" for name in ("EQUITY", "TRADE2TRADE", "LOCKED", "MERGED", "SUCCESSOR", "DELISTED", "SPLIT", "DEMERGED")
)
EX = SESSIONS[90].session_date
RULES = Rules(initial_cash=1e12, fraction=1.0, max_positions=1, volume_share=None, allow_short=True)


def bars() -> pl.DataFrame:
    """Random walks in whole paise; LOCKED and TRADE2TRADE stand still at a band now and then; two days no file came of."""
    draw = np.random.Generator(np.random.PCG64(11))
    rows = []
    for name in NAMES:
        close = 50_000
        for number, session in enumerate(SESSIONS):
            day = session.session_date
            if day == EX and name.endswith(("SPLIT", "DEMERGED")):
                close = close // (10 if name.endswith("SPLIT") else 2)
            opened = close + int(draw.integers(-close // 100, close // 100 + 1))
            previous, close = close, max(opened + int(draw.integers(-close // 30, close // 30 + 1)), 100)
            high, low = max(opened, close) + close // 200, min(opened, close) - close // 200
            if name.endswith(("LOCKED", "TRADE2TRADE")) and draw.random() < 0.3:
                opened = high = low = close = previous + int(draw.choice([-1, 1])) * previous // 20
            ended = name.endswith(("MERGED", "DELISTED")) and not name.endswith("DEMERGED") and day >= EX
            if not ended and number not in {40, 61} and draw.random() > 0.03:
                series = "BE" if name.endswith("TRADE2TRADE") else "EQ"
                rows.append((name, day, opened / 100, high / 100, low / 100, close / 100, series))
    return pl.DataFrame(rows, schema=["instrument_id", "session_date", "open", "high", "low", "close", "series"], orient="row")


ACTIONS = pl.DataFrame(
    [
        ("MERGED", "merger", 1.5, 3.0, f"{MIC}:SUCCESSOR"),
        ("DELISTED", "delisting", None, None, None),
        ("SPLIT", "capital_reduction", 5.0, None, None),
        ("SPLIT", "bonus", 2.0, None, None),
        ("DEMERGED", "demerger", 0.5, None, None),
    ],
    schema={"name": pl.String, "action": pl.String, "ratio": pl.Float64, "amount": pl.Float64, "successor_id": pl.String},
    orient="row",
).select(pl.format(f"{MIC}:{{}}", "name").alias("instrument_id"), pl.lit(EX).alias("ex_date"), pl.exclude("name"))


@dataclass(frozen=True)
class Both:
    """One market, as the backtest and as the record have it."""

    grid: Grid
    placed: PlacedMarket
    outcomes: pl.DataFrame
    signals: pl.DataFrame

    def trade(self, signal: pl.DataFrame) -> dict | None:
        """What the kernel makes of one signal with more money than it needs."""
        orders = place_signals(self.grid, signal, 1)
        costs = cost_sheet_of(self.grid, orders, FlatCosts())
        _, trades, _ = simulate(self.grid, orders, RULES, costs, self.placed)
        frame = trades_frame("run", self.grid, orders, trades)
        return frame.row(0, named=True) if frame.height else None


@pytest.fixture(scope="module")
def both() -> Both:
    frame = bars()
    hours = calendar(MIC).frame().select("session_date", ts_open="opens_at", ts_close="closes_at")
    timed = frame.join(hours, on="session_date")
    grid = build_grid(timed, [s.session_date for s in calendar(MIC).sessions])
    side = pl.when(pl.int_range(pl.len()) % 2 == 0)
    sign = side.then(1).otherwise(-1)
    told = timed.gather_every(2).with_columns(
        signal_id=pl.format("{}-{}", "instrument_id", "session_date"),
        signal_type=side.then(pl.lit("BUY")).otherwise(pl.lit("SELL")),
        known_at=pl.col("ts_close") + timedelta(hours=3),
        entry_price="close",
        stop_loss=(pl.col("close") * (1 - 0.06 * sign)).round(2),
        target_price=(pl.col("close") * (1 + 0.08 * sign)).round(2),
    )
    schema = empty_frame(TABLES["scanner_signals"]).schema
    signals = told.with_columns(pl.lit(None).alias(name) for name in schema if name not in told.columns)
    signals = (
        signals.with_columns(exchange=pl.lit(MIC), scanner_name=pl.lit("s"), ts="ts_close").select(list(schema)).cast(dict(schema))
    )
    market = build_market(frame, ACTIONS, calendar(MIC).frame())
    minutes = pl.DataFrame(
        schema={
            "instrument_id": pl.String,
            "ts": pl.Datetime("us", "UTC"),
            **dict.fromkeys(("open", "high", "low", "close"), pl.Float64),
        }
    )
    outcomes = signal_outcomes(
        market,
        signals,
        lambda _: minutes,
        charges(MIC, market.dates, CostSettings(0.0), np.zeros(len(market.instruments), np.int64)),
    )
    return Both(grid, place_market(grid, timed, ACTIONS, RULES), outcomes, signals)


@pytest.mark.slow
@pytest.mark.measured
def test_every_entry_and_every_exit_at_a_level_is_the_same_in_both(both) -> None:
    entered = ended = 0
    seen = set()
    stops = both.outcomes.filter(pl.col("horizon") == "stop_target")
    for outcome in stops.iter_rows(named=True):
        signal = both.signals.filter(pl.col("signal_id") == outcome["signal_id"])
        trade = both.trade(signal)
        if outcome["side"] == "SELL" and outcome["instrument_id"].endswith("TRADE2TRADE"):
            # A holding may be sold there, which the record follows; a short position may not be opened.
            assert trade is None
            continue
        if outcome["status"] in {"not_entered", "late"} or outcome["entry_price"] is None:
            assert trade is None, outcome
            continue
        assert trade is not None, outcome
        entered += 1
        assert (trade["entry_ts"], trade["entry_price"]) == (outcome["entry_ts"], outcome["entry_price"])
        if outcome["exit_reason"] in {"stop", "target", "cash_out"}:
            ended += 1
            seen.add((outcome["instrument_id"], outcome["exit_reason"]))
            assert (trade["exit_ts"], trade["exit_reason"]) == (outcome["exit_ts"], outcome["exit_reason"]), (outcome, trade)
            # A price of the old share's in the record; of what was split off the backtest has its price in cash, and the record its
            # part in what follows.
            units = _units(outcome)
            if units is not None:
                start = trade["entry_price"] * trade["quantity"] / units
                assert trade["pnl"] / start == pytest.approx(outcome["gross_return"], abs=1e-6), (outcome, trade)
    assert entered > 350
    assert ended > 200
    assert {
        (f"{MIC}:DELISTED", "cash_out"),
        (f"{MIC}:MERGED", "target"),
        (f"{MIC}:LOCKED", "stop"),
        (f"{MIC}:SPLIT", "stop"),
    } <= seen


def _units(outcome: dict) -> float | None:
    """Units held at the exit for each unit entered; None where part of the holding has become cash."""
    if outcome["entry_ts"].date() >= EX or outcome["exit_ts"].date() < EX:
        return 1.0
    return {"SPLIT": 10.0, "MERGED": 1.5, "DEMERGED": None}.get(outcome["instrument_id"].split(":")[1], 1.0)


def test_an_order_for_a_day_of_which_no_file_came_expires_in_both(both) -> None:
    before = [SESSIONS[number - 1].session_date for number in (40, 61)]
    told = both.outcomes.filter(pl.col("session_date").is_in(before))
    assert set(told["status"]) == {"not_entered"}
    assert all(both.trade(signal) is None for signal in both.signals.filter(pl.col("session_date").is_in(before)).iter_slices(1))
