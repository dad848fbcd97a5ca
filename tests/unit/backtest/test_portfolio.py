"""A run on frames: when signals act, what the frames carry, and what makes a run the same run."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.backtest.charge_table import CostsError
from pipelines.backtest.costs import DatedCosts, FlatCosts
from pipelines.backtest.grid import InputError
from pipelines.backtest.portfolio import Strategy, run_backtest, run_id_of
from pipelines.backtest.rules import Rules
from pipelines.market.tables.research import BACKTEST_EQUITY, BACKTEST_RUNS, BACKTEST_TRADES

STRATEGY = Strategy("sma_cross", "sma_cross", input_fingerprint="f", code_version="c", parameters={"fast": 20})
MONDAY = date(2024, 10, 7)


def day(number: int) -> date:
    return MONDAY + timedelta(days=number + 2 * (number // 5))


def opens(number: int) -> datetime:
    return datetime(day(number).year, day(number).month, day(number).day, 3, 45, tzinfo=UTC)


def closes(number: int) -> datetime:
    return opens(number) + timedelta(hours=6, minutes=15)


def daily(prices: list[float], instrument: str = "XNSE:ABC") -> pl.DataFrame:
    rows = [
        {
            "instrument_id": instrument,
            "session_date": day(k),
            "ts_open": opens(k),
            "ts_close": closes(k),
            "open": price,
            "high": price,
            "low": price,
            "close": price,
        }
        for k, price in enumerate(prices)
    ]
    return pl.DataFrame(rows)


def signal(number: int, kind: str = "BUY", instrument: str = "XNSE:ABC", known_at: datetime | None = None, **levels) -> dict:
    return {
        "signal_id": f"{instrument}-{number}-{kind}",
        "instrument_id": instrument,
        "session_date": day(number),
        "known_at": known_at or closes(number) + timedelta(hours=3),
        "signal_type": kind,
        "entry_price": None,
        "target_price": levels.get("target"),
        "stop_loss": levels.get("stop"),
    }


def test_a_signal_known_in_the_evening_fills_at_the_next_sessions_open():
    result = run_backtest(daily([100, 101, 102, 103]), pl.DataFrame([signal(0), signal(1, "SELL")]), STRATEGY)
    trade = result.trades.row(0, named=True)
    assert (trade["entry_ts"], trade["entry_price"]) == (opens(1), 101.0)
    assert (trade["exit_ts"], trade["exit_price"], trade["exit_reason"]) == (opens(2), 102.0, "signal")
    assert (trade["symbol"], trade["side"], trade["quantity"]) == ("ABC", "LONG", 1000.0)


def test_a_signal_never_fills_before_it_was_known():
    just_after_the_open = opens(1) + timedelta(seconds=1)
    rules = Rules(signal_sessions=2)
    result = run_backtest(daily([100, 101, 102, 103]), pl.DataFrame([signal(0, known_at=just_after_the_open)]), STRATEGY, rules)
    assert result.trades["entry_ts"].to_list() == [opens(2)]


def test_a_signal_learned_of_much_later_is_dropped_and_counted():
    late = signal(0, known_at=closes(2))
    result = run_backtest(daily([100, 101, 102, 103, 104]), pl.DataFrame([late]), STRATEGY)
    assert (result.trades.height, result.counts["late"], result.run["total_signals"]) == (0, 1, 1)


def test_minute_signals_act_at_the_next_minute():
    start = opens(0)
    minutes = pl.DataFrame(
        [
            {
                "instrument_id": "XNSE:ABC",
                "session_date": day(0),
                "ts_open": start + timedelta(minutes=k),
                "ts_close": start + timedelta(minutes=k + 1),
                "open": 100.0 + k,
                "high": 101.0 + k,
                "low": 99.0 + k,
                "close": 100.5 + k,
            }
            for k in range(5)
        ]
    )
    result = run_backtest(minutes, pl.DataFrame([signal(0, known_at=start + timedelta(minutes=2))]), STRATEGY)
    assert result.trades["entry_ts"].to_list() == [start + timedelta(minutes=2)]
    assert result.equity.height == 1


def test_frames_and_run_carry_the_published_columns():
    result = run_backtest(daily([100, 101, 102]), pl.DataFrame([signal(0)]), STRATEGY)
    assert result.trades.columns == BACKTEST_TRADES.names
    assert result.equity.columns == BACKTEST_EQUITY.names
    assert set(result.run) == set(BACKTEST_RUNS.names) - {"release_id"}
    assert result.trades.to_arrow().cast(BACKTEST_TRADES.arrow()).num_rows == 1
    assert result.equity.to_arrow().cast(BACKTEST_EQUITY.arrow()).num_rows == 3
    assert result.timed(1.5).run["execution_time_seconds"] == 1.5


def test_a_run_without_signals_keeps_its_cash():
    empty = pl.DataFrame([signal(0)]).clear()
    result = run_backtest(daily([100, 101, 102]), empty, STRATEGY)
    assert result.equity["equity"].to_list() == [1_000_000.0] * 3
    assert (result.run["total_return"], result.run["sharpe_ratio"], result.run["trades"]) == (0.0, None, 0)
    assert result.trades.to_arrow().cast(BACKTEST_TRADES.arrow()).num_rows == 0


def test_hold_signals_and_unknown_instruments_trade_nothing():
    signals = pl.DataFrame([signal(0, "HOLD"), signal(0, instrument="XNSE:NONE")])
    assert run_backtest(daily([100, 101, 102]), signals, STRATEGY).trades.is_empty()


def test_a_bonus_on_its_ex_date_keeps_the_holdings_value():
    actions = pl.DataFrame(
        {"instrument_id": ["XNSE:ABC"], "ex_date": [day(2)], "action": ["bonus"], "ratio": [2.0], "amount": [None]},
        schema_overrides={"amount": pl.Float64},
    )
    result = run_backtest(daily([100, 100, 50, 50]), pl.DataFrame([signal(0, stop=90.0)]), STRATEGY, actions=actions)
    assert result.equity["equity"].to_list() == [1_000_000.0] * 4
    assert result.trades.row(0, named=True)["quantity"] == 2000.0


def act(number: int, kind: str, ratio: float | None = None, amount: float | None = None, successor: str | None = None) -> dict:
    row = {"instrument_id": "XNSE:ABC", "ex_date": day(number), "action": kind, "ratio": ratio, "amount": amount}
    return row | {"successor_id": successor}


def acts(*rows: dict) -> pl.DataFrame:
    types = {"ratio": pl.Float64, "amount": pl.Float64, "successor_id": pl.String}
    return pl.DataFrame(list(rows), schema_overrides=types)


def test_a_dividend_beside_a_split_is_paid_on_the_new_shares():
    """2 for 1 and 1 in cash a share as it trades then: what 100 was is twice 49 and twice 1."""
    result = run_backtest(
        daily([100, 100, 49, 49]),
        pl.DataFrame([signal(0)]),
        STRATEGY,
        actions=acts(act(2, "split", 2.0), act(2, "dividend", amount=1.0)),
    )
    assert result.equity["equity"].to_list() == [1_000_000.0] * 4


def test_a_capital_reduction_never_multiplies_money():
    result = run_backtest(
        daily([2, 2, 20, 20]), pl.DataFrame([signal(0)]), STRATEGY, actions=acts(act(2, "capital_reduction", 0.1))
    )
    assert result.run["total_return"] == pytest.approx(0.0)
    paid_too = acts(act(2, "capital_reduction", 0.1, 1.0))
    with_cash = run_backtest(daily([2, 2, 10, 10]), pl.DataFrame([signal(0)]), STRATEGY, actions=paid_too)
    assert with_cash.run["total_return"] == pytest.approx(0.0)


@pytest.mark.parametrize("kind", ["demerger", "split", "rights", "merger"])
def test_an_unknown_ratio_is_no_loss_at_the_stop(kind):
    result = run_backtest(daily([100, 100, 60, 60]), pl.DataFrame([signal(0, stop=90.0)]), STRATEGY, actions=acts(act(2, kind)))
    trade = result.trades.row(0, named=True)
    assert (trade["exit_reason"], trade["exit_price"], trade["exit_ts"]) == ("unadjusted", 100.0, opens(2))
    assert result.run["total_return"] == 0.0


def test_a_merger_continues_in_the_successor():
    bars = pl.concat([daily([100, 100]), daily([50, 50, 50, 60], "XNSE:NEW")])
    actions = acts(act(2, "merger", 2.0, None, "XNSE:NEW"))
    result = run_backtest(bars, pl.DataFrame([signal(0)]), STRATEGY, actions=actions)
    trade = result.trades.row(0, named=True)
    assert (trade["symbol"], trade["quantity"], trade["entry_price"], trade["exit_price"]) == ("NEW", 2000.0, 100.0, 60.0)
    assert trade["pnl"] == pytest.approx(1000 * 20)


@pytest.mark.parametrize(("haircut", "amount", "price"), [(0.3, None, 70.0), (0.0, None, 100.0), (0.3, 95.0, 95.0)])
def test_a_delisting_pays_the_last_price_less_the_haircut_or_what_is_stated(haircut, amount, price):
    bars = pl.concat([daily([100, 100]), daily([50] * 4, "XNSE:OTHER")])
    rules = Rules(delisting_haircut=haircut)
    result = run_backtest(bars, pl.DataFrame([signal(0)]), STRATEGY, rules, actions=acts(act(2, "delisting", amount=amount)))
    trade = result.trades.row(0, named=True)
    assert (trade["exit_reason"], trade["exit_price"]) == ("cash_out", price)


PAYTM = [
    (753.0, 767.0, 753.0, 761.1),
    (758.15, 774.3, 753.1, 761.2),
    (609.0,) * 4,
    (487.2,) * 4,
    (438.5,) * 4,
    (395.0, 473.55, 395.0, 451.15),
]


def paytm() -> pl.DataFrame:
    """Bars of 30 January to 6 February 2024, on other days."""
    prices = pl.DataFrame(PAYTM, schema=["open", "high", "low", "close"], orient="row")
    return daily([bar[3] for bar in PAYTM]).with_columns(prices.get_columns())


def test_a_holder_in_locked_sessions_is_out_at_the_first_tradable_price():
    result = run_backtest(paytm(), pl.DataFrame([signal(0, stop=700.0)]), STRATEGY)
    trade = result.trades.row(0, named=True)
    assert (trade["exit_price"], trade["exit_ts"], trade["exit_reason"]) == (395.0, opens(5), "stop")
    signals = pl.DataFrame([signal(0), signal(1, "SELL")])
    assert run_backtest(paytm(), signals, STRATEGY).trades["exit_price"].to_list() == [395.0]


def test_an_entry_takes_no_more_than_its_share_of_the_volume_and_none_where_nothing_traded():
    bars = daily([100, 100, 100]).with_columns(volume=pl.lit(2000))
    result = run_backtest(bars, pl.DataFrame([signal(0)]), STRATEGY)
    assert (result.trades["quantity"].to_list(), result.counts["cut"]) == ([200.0], 1)
    silent = run_backtest(bars.with_columns(volume=pl.lit(0)), pl.DataFrame([signal(0)]), STRATEGY)
    assert (silent.trades.height, silent.counts["expired"]) == (0, 1)


def test_a_trade_to_trade_series_is_not_left_in_the_session_of_its_entry():
    bars = daily([100, 100, 96]).with_columns(low=pl.Series([100.0, 90.0, 95.0]), high=pl.Series([100.0, 100.0, 97.0]))
    for series, price in (("BE", 96.0), ("EQ", 95.0)):
        result = run_backtest(bars.with_columns(series=pl.lit(series)), pl.DataFrame([signal(0, stop=95.0)]), STRATEGY)
        assert (result.trades["exit_price"].to_list(), result.trades["exit_reason"].to_list()) == ([price], ["stop"])


def test_an_order_for_a_session_of_which_there_is_no_bar_expires():
    """The exchange was open on the day between, but no file of it is there: the order is not for the day after it."""
    bars = daily([100, 101, 102, 103]).filter(pl.col("session_date") != day(1))
    result = run_backtest(bars, pl.DataFrame([signal(0)]), STRATEGY, sessions=[day(n) for n in range(4)])
    assert (result.trades.height, result.counts["late"]) == (0, 1)
    other = pl.concat([bars, daily([50] * 4, "XNSE:OTHER")])
    halted = run_backtest(other, pl.DataFrame([signal(0)]), STRATEGY)
    assert (halted.trades.height, halted.counts["expired"]) == (0, 1)


def test_equity_drawdown_and_exposure_follow_the_position():
    result = run_backtest(daily([100, 100, 90, 110]), pl.DataFrame([signal(0)]), STRATEGY)
    assert result.equity["equity"].to_list() == [1_000_000.0, 1_000_000.0, 990_000.0, 1_010_000.0]
    assert result.equity["drawdown"].to_list() == pytest.approx([0, 0, -0.01, 0])
    assert result.equity["exposure"].to_list() == pytest.approx([0, 0.1, 90 / 990, 110 / 1010])
    assert result.returns()["ret"].to_list() == pytest.approx([0, 0, -0.01, 1010 / 990 - 1])


def test_the_higher_confidence_takes_the_last_slot():
    bars = pl.concat([daily([100] * 3, "XNSE:AAA"), daily([100] * 3, "XNSE:BBB")])
    signals = pl.DataFrame([signal(0, instrument="XNSE:AAA"), signal(0, instrument="XNSE:BBB")])
    signals = signals.with_columns(confidence_score=pl.Series([0.2, 0.9]))
    result = run_backtest(bars, signals, STRATEGY, Rules(max_positions=1))
    assert result.trades["symbol"].to_list() == ["BBB"]
    assert result.counts["no_slot"] == 1


def test_the_order_of_rows_changes_nothing():
    bars = pl.concat([daily([100, 104, 99, 101], "XNSE:AAA"), daily([50, 49, 52, 55], "XNSE:BBB")])
    signals = pl.DataFrame([signal(0, instrument="XNSE:BBB"), signal(0, instrument="XNSE:AAA"), signal(1, "SELL", "XNSE:AAA")])
    one = run_backtest(bars, signals, STRATEGY)
    other = run_backtest(bars.reverse(), signals.reverse(), STRATEGY)
    assert one.run == other.run
    assert one.trades.equals(other.trades)


def test_the_run_id_depends_on_parameters_inputs_and_code_and_on_nothing_else():
    base = run_id_of("s", {"a": 1, "b": 2}, "f", "c")
    assert base == run_id_of("s", {"b": 2, "a": 1}, "f", "c")
    others = [("t", {"a": 1, "b": 2}, "f", "c"), ("s", {"a": 2, "b": 2}, "f", "c"), ("s", {"a": 1, "b": 2}, "g", "c")]
    assert base not in {run_id_of(*other) for other in others}


def test_the_configuration_is_canonical_json():
    result = run_backtest(daily([100, 101]), pl.DataFrame([signal(0)]), STRATEGY, Rules(max_sessions=3), FlatCosts(buy_bps=1))
    config = json.loads(result.run["config_snapshot"])
    assert result.run["config_snapshot"] == json.dumps(config, sort_keys=True, separators=(",", ":"))
    assert (config["rules"]["max_sessions"], config["costs"]["buy_bps"], config["parameters"]) == (3, 1, {"fast": 20})


def test_a_signal_before_the_first_dated_cost_fails_loudly():
    bars = daily([100, 101, 102]).with_columns(
        pl.col("session_date").dt.offset_by("-22y"), pl.col("ts_open", "ts_close").dt.offset_by("-22y")
    )
    early = pl.DataFrame([signal(0)]).with_columns(
        pl.col("session_date").dt.offset_by("-22y"), pl.col("known_at").dt.offset_by("-22y")
    )
    with pytest.raises(CostsError, match=r"no rates in force at 2002-10-07.*nse_equity_delivery"):
        run_backtest(bars, early, STRATEGY, costs=DatedCosts("nse_equity_delivery"))


def test_instruments_of_two_exchanges_are_refused():
    with pytest.raises(InputError, match="several exchanges"):
        run_backtest(pl.concat([daily([1.0], "XNSE:A"), daily([1.0], "XNYS:A")]), pl.DataFrame([signal(0)]), STRATEGY)
