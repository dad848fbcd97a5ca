"""The nightly backtest on frames: what it knows of the exchange besides bars and signals."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.rules import FillRules
from pipelines.backtest.update import BacktestInputs, run_nightly
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame

MIC = "XNSE"
SESSIONS = calendar(MIC).between(date(2025, 10, 8), date(2025, 10, 17))
SHARE = f"{MIC}:TATAMOTORS"


def inputs(prices: list[float | None], flags: pl.DataFrame | None = None) -> BacktestInputs:
    """Quiet bars at these closes, None for a session without a file, and a purchase decided on the first day."""
    rows = [
        {
            "instrument_id": SHARE,
            "session_date": session.session_date,
            "ts_open": session.opens_at,
            "ts_close": session.closes_at,
            "open": price,
            "high": price * 1.01,
            "low": price * 0.99,
            "close": price,
            "volume": 10**9,
            "series": "EQ",
        }
        for session, price in zip(SESSIONS, prices, strict=False)
        if price is not None
    ]
    signal = {
        "signal_id": "s",
        "instrument_id": SHARE,
        "session_date": SESSIONS[0].session_date,
        "known_at": SESSIONS[0].closes_at + timedelta(hours=3),
        "signal_type": "BUY",
        "target_price": None,
        "stop_loss": 600.0,
    }
    every = tuple(session.session_date for session in calendar(MIC).sessions)
    actions = empty_frame(TABLES["corporate_actions"])
    return BacktestInputs(pl.DataFrame(rows), pl.DataFrame([signal]), actions, "f", sessions=every, flags=flags)


def trades(given: BacktestInputs, fills: FillRules | None = None) -> pl.DataFrame:
    result = run_nightly(MIC, given, "scanner", cash=1e6, costs=CostSettings(0.0, depository_charge=0.0), fills=fills)
    assert result is not None
    return result.trades


def test_a_demerger_that_nobody_recorded_is_no_loss() -> None:
    (trade,) = trades(inputs([660.75, 660.75, 660.75, 660.75, 400.0, 396.0])).iter_rows(named=True)
    assert (trade["exit_reason"], trade["exit_price"]) == ("unadjusted", 660.75)
    assert trade["pnl"] == pytest.approx(-trade["fees"])


def test_a_finding_on_prices_counts_as_well() -> None:
    day = SESSIONS[3].session_date
    flags = pl.DataFrame({"instrument_id": [SHARE], "session_date": [day], "flag": ["unrecorded_split"]})
    assert trades(inputs([660.0] * 3 + [540.0] * 2, flags))["exit_reason"].to_list() == ["unadjusted"]
    assert trades(inputs([660.0] * 3 + [540.0] * 2))["exit_reason"].to_list() == ["stop"]


def test_an_order_for_a_session_without_a_file_expires() -> None:
    assert trades(inputs([660.0, None, 660.0, 660.0])).is_empty()


def test_by_default_mumbai_pays_its_dated_charges_and_basis_points_come_on_top() -> None:
    """Securities transaction tax and levies on both sides, stamp duty on the purchase, the depository once."""
    result = run_nightly(MIC, inputs([660.0] * 4), "scanner", cash=1e6, costs=CostSettings())
    assert result is not None
    (trade,) = result.trades.iter_rows(named=True)
    levies = (0.0000297 + 0.000001 + 0.000001) * 1.18
    assert trade["fees"] == pytest.approx(trade["quantity"] * 660.0 * (0.002 + 0.00015 + 2 * levies + 0.001) + 15.34)


@pytest.mark.parametrize(("share", "units"), [(0.1, 151), (1e-9, 1)])
def test_the_settings_of_fills_reach_the_run(share, units) -> None:
    assert trades(inputs([660.0] * 4), FillRules(volume_share=share))["quantity"].to_list() == [units]
