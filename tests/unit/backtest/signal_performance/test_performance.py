"""Figures of a scanner from outcomes given by hand."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.backtest.signal_performance.performance import NEEDED, ScannerId, scanner_performance
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame

MONDAY = date(2024, 1, 8)
CALENDARS = {"XNYS": calendar("XNYS")}


def outcome(number: int, net: float | None, days: int = 0, held: int = 0, **changed: object) -> dict[str, object]:
    """A finished purchase of A that enters `days` after Monday and is held `held` days."""
    entered = datetime(2024, 1, 8, 14, 30, tzinfo=UTC) + timedelta(days=days)
    return {
        "signal_id": f"{number:02}",
        "horizon": "5",
        "scanner_name": "s",
        "exchange": "XNYS",
        "instrument_id": "A",
        "session_date": MONDAY + timedelta(days=days),
        "side": "BUY",
        "status": "finished",
        "is_over": True,
        "entry_ts": entered,
        "exit_ts": entered + timedelta(days=held, hours=6),
        "exit_reason": "close",
        "costs": 0.001,
        "net_return": net,
        "costs_assumed": False,
        "base_rate": 0.5,
        "base_return": 0.0,
    } | changed


def figures(rows: list[dict[str, object]], side: str = "ALL", scope: str = "all", horizon: str = "5") -> dict:
    schema = {name: kind for name, kind in empty_frame(TABLES["signal_outcomes"]).schema.items() if name in NEEDED}
    found = scanner_performance(pl.DataFrame(rows, schema=schema), {"s": ScannerId(3, "hash")}, CALENDARS)
    assert found.height == 5 * 3 * 2
    chosen = (pl.col("side") == side) & (pl.col("scope") == scope) & (pl.col("horizon") == horizon)
    return found.filter(chosen).row(0, named=True)


def test_the_figures_of_six_signals() -> None:
    nets = [0.02, -0.01, -0.02, -0.01, 0.04, 0.0]
    found = figures([outcome(i, net, days=i) for i, net in enumerate(nets)])
    assert (found["total_signals"], found["profitable_signals"], found["win_rate"]) == (6, 2, pytest.approx(1 / 3))
    assert (found["avg_profit"], found["avg_loss"]) == (pytest.approx(0.03), pytest.approx(-0.04 / 3))
    assert (found["profit_factor"], found["max_consecutive_losses"]) == (pytest.approx(1.5), 3)
    assert (found["base_rate"], found["edge"]) == (0.5, pytest.approx(1 / 3 - 0.5))
    assert found["avg_return"] == pytest.approx(0.02 / 6)
    assert (found["sessions"], found["first_session"], found["last_session"]) == (6, MONDAY, MONDAY + timedelta(days=5))
    assert (found["scanner_version"], found["parameters_hash"], found["universe"]) == (3, "hash", "all")


def test_losses_run_in_order_of_entry_not_of_the_rows() -> None:
    assert figures([outcome(0, -0.1, days=2), outcome(1, 0.1, days=1), outcome(2, -0.1, days=0)])["max_consecutive_losses"] == 1


def test_only_what_is_over_counts_and_the_rest_is_named() -> None:
    rows = [
        outcome(0, 0.01),
        outcome(1, 0.01, is_over=False),
        outcome(2, None, status="open", is_over=False),
        outcome(3, None, status="late", is_over=False),
        outcome(4, None, status="not_entered", is_over=False),
        outcome(5, None, status="no_levels"),
        outcome(6, None, status="unadjusted"),
    ]
    found = figures(rows)
    assert [found[c] for c in ("total_signals", "open_signals", "left_out", "unadjusted")] == [1, 2, 3, 1]
    assert [found[c] for c in ("win_rate_low", "profit_factor", "avg_loss")] == [None, None, None]


def test_a_signal_while_an_earlier_one_is_held_overlaps() -> None:
    """Held from day 0 to 2: those of days 1 and 2 overlap it, the one of day 3 does not, nor do others of B or sold ones."""
    rows = [outcome(day, 0.01, days=day, held=2) for day in range(4)]
    rows += [outcome(8, 0.01, days=1, held=2, instrument_id="B"), outcome(9, -0.01, days=1, held=2, side="SELL")]
    assert [figures(rows, side, "non_overlapping")["total_signals"] for side in ("ALL", "BUY", "SELL")] == [4, 3, 1]
    assert figures(rows)["total_signals"] == 6


def test_what_is_still_held_overlaps_too() -> None:
    rows = [outcome(0, None, status="open", is_over=False, exit_ts=None), outcome(1, 0.01, days=1)]
    assert figures(rows, scope="non_overlapping")["total_signals"] == 0


def test_signals_of_a_scanner_that_is_none_any_more_are_left_out() -> None:
    schema = {name: kind for name, kind in empty_frame(TABLES["signal_outcomes"]).schema.items() if name in NEEDED}
    assert scanner_performance(pl.DataFrame([outcome(0, 0.01)], schema=schema), {}, CALENDARS).is_empty()
