"""Outcomes of signals, each rule against a case worked out by hand."""

from datetime import date, timedelta

import polars as pl
import pytest

FIRST, LAST = date(2023, 11, 1), date(2023, 12, 29)
SIGNAL = date(2023, 11, 20)


def of(outcomes: pl.DataFrame, horizon: str) -> dict:
    return outcomes.filter(pl.col("horizon") == horizon).row(0, named=True)


def test_a_signal_of_the_close_enters_at_the_next_open_and_counts_regular_sessions_from_there(world, signal, flat, at) -> None:
    """2023-11-23 was a holiday and 2023-11-24 a half day: entered on the 21st, the 5th regular session is the 29th."""
    changed = {
        "d2023_11_21": (100, 103, 99, 102),
        "d2023_11_24": (100, 200, 50, 150),
        "d2023_11_28": (100, 104, 96, 104),
        "d2023_11_29": (100, 108, 96, 105),
    }
    found = world(bars={"A": flat(FIRST, LAST, **changed)}).outcomes(signal())
    assert found["horizon"].to_list() == ["1", "20", "5", "end_of_day", "stop_target"]
    assert of(found, "1")["entry_ts"] == at(2023, 11, 21, 14, 30)
    assert (of(found, "1")["exit_ts"], of(found, "1")["gross_return"]) == (at(2023, 11, 21, 21), pytest.approx(0.02))
    assert (of(found, "5")["exit_ts"], of(found, "5")["exit_price"]) == (at(2023, 11, 29, 21), 105)
    assert of(found, "5")["gross_return"] == pytest.approx(0.05)
    # 21, 22, 27, 28, 29, 30, then the 1st to the 20th of December without weekends: the 20th is December 20.
    assert of(found, "20")["exit_ts"] == at(2023, 12, 20, 21)
    assert of(found, "stop_target")["status"] == "no_levels"


def test_an_entry_on_a_half_day_is_left_that_day_or_at_the_next_regular_close(world, signal, flat, at) -> None:
    found = world(bars={"A": flat(FIRST, LAST, d2023_11_24=(100, 101, 99, 101), d2023_11_27=(100, 110, 99, 110))}).outcomes(
        signal(day=date(2023, 11, 22))
    )
    assert (of(found, "end_of_day")["exit_ts"], of(found, "end_of_day")["gross_return"]) == (
        at(2023, 11, 24, 18),
        pytest.approx(0.01),
    )
    assert (of(found, "1")["exit_ts"], of(found, "1")["gross_return"]) == (at(2023, 11, 27, 21), pytest.approx(0.1))


def test_a_special_session_is_no_session_of_a_horizon(world, signal, flat, at) -> None:
    """NSE traded for an evening hour on 2018-11-07; known at 18:30 on the 5th, the signal enters on the 6th."""
    bars = flat(
        date(2018, 10, 1), date(2018, 12, 31), mic="XNSE", d2018_11_07=(100, 100, 100, 150), d2018_11_09=(100, 102, 100, 102)
    )
    found = world("XNSE", {"A": bars}).outcomes(signal(day=date(2018, 11, 5), mic="XNSE", known=timedelta(hours=3)))
    assert of(found, "1")["entry_ts"] == at(2018, 11, 6, 3, 45)
    early = world("XNSE", {"A": bars}).outcomes(signal(day=date(2018, 11, 6), mic="XNSE", known=timedelta(hours=3)))
    assert of(early, "end_of_day")["gross_return"] == pytest.approx(0.5)
    assert (of(early, "1")["exit_ts"], of(early, "1")["gross_return"]) == (at(2018, 11, 9, 10), pytest.approx(0.02))


@pytest.mark.parametrize(
    ("bar", "reason", "price"),
    [
        ((100, 106, 94, 100), "stop", 95),
        ((100, 105, 96, 100), "target", 105),
        ((100, 104.99, 95.01, 100), "time", 100),
        ((93, 99, 92, 98), "stop", 93),
        ((107, 108, 99, 100), "target", 107),
        ((100, 102, 95, 96), "stop", 95),
    ],
    ids=["both count as the stop", "target", "neither", "gap below the stop", "gap above the target", "a touch is enough"],
)
def test_a_bar_ends_a_purchase_at(world, signal, flat, bar, reason: str, price: float) -> None:
    found = world(bars={"A": flat(FIRST, LAST, d2023_11_22=bar)}).outcomes(signal(stop=95, target=105))
    outcome = of(found, "stop_target")
    assert (outcome["exit_reason"], outcome["exit_price"]) == (reason, price)
    assert outcome["gross_return"] == pytest.approx(price / 100 - 1)


def test_an_open_beyond_the_stop_at_entry_leaves_at_once(world, signal, flat, at) -> None:
    found = world(bars={"A": flat(FIRST, LAST, d2023_11_21=(90, 110, 89, 100))}, bps=5).outcomes(signal(stop=95, target=105))
    outcome = of(found, "stop_target")
    assert (outcome["exit_ts"], outcome["exit_price"], outcome["gross_return"]) == (at(2023, 11, 21, 14, 30), 90, 0)
    assert outcome["net_return"] == pytest.approx(-0.001)


def test_a_sale_is_mirrored_and_is_a_short_only_within_its_entry_session(world, signal, flat) -> None:
    bars = flat(FIRST, LAST, d2023_11_21=(100, 101, 98, 98), d2023_11_29=(98, 98, 90, 90))
    found = world(bars={"A": bars}, bps=10).outcomes(signal(side="SELL", stop=102, target=95))
    assert [of(found, h)["position"] for h in ("end_of_day", "1", "5", "stop_target")] == [
        "intraday_short",
        "intraday_short",
        "exit",
        "exit",
    ]
    day = of(found, "1")
    assert day["gross_return"] == pytest.approx(0.02)
    assert day["net_return"] == pytest.approx(0.02 - 0.001 - 0.001 * 0.98)
    assert (of(found, "stop_target")["exit_reason"], of(found, "stop_target")["exit_price"]) == ("target", 95)


def test_a_split_while_held_changes_neither_return_nor_levels(world, signal, flat) -> None:
    bars = flat(FIRST, date(2023, 11, 27)) | flat(date(2023, 11, 28), LAST, price=50, d2023_11_30=(50, 53, 50, 53))
    split = world(bars={"A": bars}, actions=[("A", date(2023, 11, 28), "split", 2.0)])
    found = split.outcomes(signal(stop=60, target=105))
    assert of(found, "5")["gross_return"] == 0
    assert (of(found, "stop_target")["exit_reason"], of(found, "stop_target")["exit_price"]) == ("target", 52.5)
    assert of(found, "stop_target")["gross_return"] == pytest.approx(0.05)
    ex_at_entry = world(bars={"A": bars}, actions=[("A", date(2023, 11, 28), "split", 2.0)])
    assert of(ex_at_entry.outcomes(signal(day=date(2023, 11, 27), stop=60, target=105)), "stop_target")["exit_price"] == 52.5


def test_a_demerger_without_ratio_drops_the_pair_and_one_with_a_ratio_does_not(world, signal, flat) -> None:
    bars = {"A": flat(FIRST, date(2023, 11, 27)) | flat(date(2023, 11, 28), LAST, price=80)}
    unknown = world(bars=bars, actions=[("A", date(2023, 11, 28), "demerger", None)]).outcomes(signal(stop=90, target=200))
    assert unknown.select("horizon", "status").rows() == [
        ("1", "finished"),
        ("20", "unadjusted"),
        ("5", "unadjusted"),
        ("end_of_day", "finished"),
        ("stop_target", "unadjusted"),
    ]
    assert unknown.filter(pl.col("status") == "unadjusted")["net_return"].null_count() == 3
    known = world(bars=bars, actions=[("A", date(2023, 11, 28), "demerger", 0.8)]).outcomes(signal(stop=90, target=200))
    assert [of(known, h)["gross_return"] for h in ("5", "20", "stop_target")] == pytest.approx([0, 0, 0])


def test_a_stop_before_a_demerger_without_ratio_stands(world, signal, flat) -> None:
    bars = {"A": flat(FIRST, LAST, d2023_11_22=(99, 99, 90, 95))}
    found = world(bars=bars, actions=[("A", date(2023, 11, 28), "demerger", None)]).outcomes(signal(stop=95, target=200))
    assert (of(found, "stop_target")["status"], of(found, "stop_target")["exit_reason"]) == ("finished", "stop")


def test_what_is_known_late_or_has_no_bar_to_enter_is_counted_apart(world, signal, flat) -> None:
    bars = flat(FIRST, LAST)
    halted = {day: bar for day, bar in bars.items() if day != date(2023, 11, 21)}
    status = lambda found: set(found["status"])  # noqa: E731
    assert status(world(bars={"A": bars}).outcomes(signal(known=timedelta(days=3)))) == {"late"}
    assert status(world(bars={"A": halted, "B": bars}).outcomes(signal())) == {"not_entered"}
    assert status(world(bars={"A": bars}).outcomes(signal(day=LAST))) == {"open"}
    assert world(bars={"A": halted, "B": bars}).outcomes(signal())["entry_price"].null_count() == 5


def test_an_exit_without_a_bar_waits_for_the_next_open(world, signal, flat, at) -> None:
    """Halted at the close of its 5th session, the 29th, and open again on December 1st."""
    halted = {d: b for d, b in flat(FIRST, LAST, d2023_12_01=(90, 95, 90, 95)).items() if d not in HALT}
    found = world(bars={"A": halted, "B": flat(FIRST, LAST)}).outcomes(signal())
    assert (of(found, "5")["exit_ts"], of(found, "5")["gross_return"]) == (at(2023, 12, 1, 14, 30), pytest.approx(-0.1))
    still = {d: b for d, b in halted.items() if d < date(2023, 12, 1)}
    waiting = of(world(bars={"A": still, "B": flat(FIRST, date(2023, 11, 30))}).outcomes(signal()), "5")
    assert (waiting["status"], waiting["is_over"], waiting["exit_price"]) == ("open", True, None)


HALT = {date(2023, 11, 28), date(2023, 11, 29), date(2023, 11, 30)}


def test_who_stops_trading_without_a_word_is_left_at_the_last_price_after_twenty_sessions(world, signal, flat, at) -> None:
    gone = flat(FIRST, date(2023, 11, 27), d2023_11_27=(90, 90, 80, 80))
    found = of(world(bars={"A": gone, "B": flat(FIRST, LAST)}).outcomes(signal()), "20")
    assert (found["exit_ts"], found["exit_reason"]) == (at(2023, 12, 27, 14, 30), "cash_out")
    assert found["gross_return"] == pytest.approx(0.8 - 1)


def test_what_touches_a_level_early_is_told_but_not_over(world, signal, flat) -> None:
    found = world(bars={"A": flat(FIRST, date(2023, 11, 30), d2023_11_22=(100, 106, 99, 105))}).outcomes(
        signal(stop=95, target=105)
    )
    outcome = of(found, "stop_target")
    assert (outcome["status"], outcome["is_over"], outcome["base_rate"]) == ("finished", False, None)
    assert (of(found, "20")["status"], of(found, "5")["is_over"]) == ("open", True)


def test_the_base_is_every_instrument_that_traded_lately_by_side_entry_and_exit(world, signal, flat) -> None:
    """Of four instruments two rise on the day; one more was halted for 30 sessions and does not belong to the universe."""
    up, down = {"d2023_11_21": (100, 102, 100, 102)}, {"d2023_11_21": (100, 100, 97, 97)}
    away = {day: bar for day, bar in flat(FIRST, LAST, **up).items() if day in {FIRST, date(2023, 11, 21)}}
    stale = {date(2023, 9, 1): (1.0, 1.0, 1.0, 1.0), date(2023, 11, 21): (1.0, 2.0, 1.0, 2.0)}
    bars = {"A": flat(FIRST, LAST, **up), "B": flat(FIRST, LAST, **down), "C": flat(FIRST, LAST), "D": away, "E": stale}
    bought = of(world(bars=bars).outcomes(signal()), "1")
    assert (bought["base_size"], bought["base_rate"], bought["base_return"]) == (4, 0.5, pytest.approx((0.02 + 0.02 - 0.03) / 4))
    sold = of(world(bars=bars).outcomes(signal(side="SELL")), "1")
    assert (sold["base_size"], sold["base_rate"]) == (4, 0.25)


def test_the_base_of_a_stop_is_as_far_away_in_every_instrument(world, signal, flat) -> None:
    """Stop 5 % below and target 10 % above the price of the decision: in B at 50 that is 47.5 and 55."""
    bars = {
        "A": flat(FIRST, LAST, d2023_11_22=(100, 110, 96, 100)),
        "B": flat(FIRST, LAST, price=50, d2023_11_22=(50, 54.99, 47.5, 50)),
        "C": flat(FIRST, LAST, price=10, d2023_11_22=(10, 10.99, 9.51, 10)),
    }
    found = of(world(bars=bars, bps=1).outcomes(signal(stop=95, target=110)), "stop_target")
    assert (found["exit_reason"], found["base_size"], found["base_rate"]) == ("target", 3, pytest.approx(1 / 3))
    assert found["base_return"] == pytest.approx((0.1 - 0.05 + 0) / 3, abs=3e-4)


def test_an_intraday_signal_enters_at_the_next_minute_and_is_stopped_within_the_day(world, signal, flat, at) -> None:
    """Decided at 14:50 UTC; the next minute with a trade starts at 14:52. The day's low came before and ends nothing."""
    minutes = [
        ("A", at(2023, 11, 20, 14, 49), 100, 100, 80, 100),
        ("A", at(2023, 11, 20, 14, 52), 101, 102, 100, 101),
        ("A", at(2023, 11, 20, 15, 10), 101, 101, 95, 96),
        ("B", at(2023, 11, 20, 14, 40), 50, 50, 50, 50),
        ("B", at(2023, 11, 20, 14, 50), 50, 51, 50, 51),
    ]
    bars = {
        "A": flat(FIRST, LAST, d2023_11_20=(100, 103, 80, 103)),
        "B": flat(FIRST, LAST, price=50, d2023_11_20=(50, 50, 50, 49)),
        "C": flat(FIRST, LAST),
    }
    found = world(bars=bars, minutes=minutes).outcomes(signal(ts=at(2023, 11, 20, 14, 50), stop=96, target=120))
    day = of(found, "end_of_day")
    assert (day["entry_ts"], day["entry_price"], day["gross_return"]) == (
        at(2023, 11, 20, 14, 52),
        101,
        pytest.approx(103 / 101 - 1),
    )
    # C has no minutes: the universe of an intraday signal is A and B, and B closes below its open of 14:50.
    assert (day["base_size"], day["base_rate"]) == (2, 0.5)
    stopped = of(found, "stop_target")
    assert (stopped["exit_ts"], stopped["exit_price"], stopped["exit_reason"]) == (at(2023, 11, 20, 15, 11), 96, "stop")
    assert of(found, "1")["exit_ts"] == at(2023, 11, 20, 21)


def test_an_intraday_signal_held_past_its_day_goes_on_by_daily_bars(world, signal, flat, at) -> None:
    minutes = [("A", at(2023, 11, 20, 14, 49), 100, 100, 100, 100), ("A", at(2023, 11, 20, 14, 50), 100, 101, 99, 100)]
    bars = {"A": flat(FIRST, LAST, d2023_11_20=(100, 130, 70, 100), d2023_11_22=(100, 110, 100, 108))}
    found = world(bars=bars, minutes=minutes).outcomes(signal(ts=at(2023, 11, 20, 14, 50), stop=90, target=110))
    assert (of(found, "stop_target")["exit_ts"], of(found, "stop_target")["exit_reason"]) == (at(2023, 11, 22, 21), "target")


def test_after_the_last_minute_the_next_bar_is_the_next_open(world, signal, flat, at) -> None:
    minutes = [("A", at(2023, 11, 20, 20, 58), 100, 100, 100, 100)]
    found = world(bars={"A": flat(FIRST, LAST)}, minutes=minutes).outcomes(signal(ts=at(2023, 11, 20, 20, 59)))
    assert set(found["entry_ts"]) == {at(2023, 11, 21, 14, 30)}
