"""Outcomes where not every order is filled and not every share lives on: locked sessions, deliveries, ends of companies."""

from datetime import date, timedelta

import polars as pl
import pytest

from pipelines.market.calendar import calendar

MIC = "XNSE"
A, B, S = f"{MIC}:A", f"{MIC}:B", f"{MIC}:S"
EVENING = timedelta(hours=3)

#: PAYTM, 30 January to 9 February 2024: three sessions at one price, the lower band of each day.
PAYTM = {
    date(2024, 1, 30): (753.0, 767.0, 753.0, 761.1),
    date(2024, 1, 31): (758.15, 774.3, 753.1, 761.2),
    date(2024, 2, 1): (609.0, 609.0, 609.0, 609.0),
    date(2024, 2, 2): (487.2, 487.2, 487.2, 487.2),
    date(2024, 2, 5): (438.5, 438.5, 438.5, 438.5),
    date(2024, 2, 6): (395.0, 473.55, 395.0, 451.15),
    date(2024, 2, 7): (463.0, 496.25, 462.0, 496.25),
    date(2024, 2, 8): (525.0, 528.0, 446.65, 446.65),
    date(2024, 2, 9): (420.0, 438.0, 410.0, 419.85),
}


def of(outcomes: pl.DataFrame, horizon: str) -> dict:
    return outcomes.filter(pl.col("horizon") == horizon).row(0, named=True)


def days(first: date, last: date, price: float) -> dict:
    """A quiet share: no session at one price."""
    return {s.session_date: (price, price * 1.01, price * 0.99, price) for s in calendar(MIC).between(first, last)}


QUIET = days(date(2024, 1, 1), date(2024, 4, 30), 100.0)


@pytest.fixture
def nse(world, signal):
    """Outcomes of one signal at a session's close on NSE, known in the evening."""

    def made(bars, day, side="BUY", instrument=A, **given):
        levels = {k: given.pop(k) for k in ("stop", "target") if k in given}
        told = signal(instrument, day, side, mic=MIC, known=EVENING, **levels)
        return world(MIC, {B: QUIET, **bars}, **given).outcomes(told)

    return made


def test_a_holder_leaves_at_the_first_price_at_which_somebody_bought(nse, at) -> None:
    found = nse({A: PAYTM}, date(2024, 1, 30), stop=700.0)
    outcome = of(found, "stop_target")
    assert (outcome["exit_reason"], outcome["exit_price"], outcome["exit_ts"]) == ("stop", 395.0, at(2024, 2, 6, 3, 45))
    assert outcome["gross_return"] == pytest.approx(395.0 / 758.15 - 1)
    assert of(found, "1")["exit_price"] == 761.2


def test_a_close_locked_at_the_lower_band_is_no_exit_but_a_buyer_finds_sellers(nse, at) -> None:
    found = nse({A: PAYTM}, date(2024, 1, 31))
    assert (of(found, "1")["entry_price"], of(found, "1")["exit_price"]) == (609.0, 395.0)
    assert (of(found, "5")["exit_price"], of(found, "5")["exit_ts"]) == (496.25, at(2024, 2, 7, 10))


def test_a_sale_into_a_locked_session_expires(nse) -> None:
    assert set(nse({A: PAYTM}, date(2024, 1, 31), "SELL")["status"]) == {"not_entered"}


def test_an_exit_that_still_waits_is_open(nse) -> None:
    till = {day: bar for day, bar in PAYTM.items() if day <= date(2024, 2, 5)}
    quiet = {day: bar for day, bar in QUIET.items() if day <= date(2024, 2, 5)}
    found = nse({A: till, B: quiet}, date(2024, 1, 30), stop=700.0)
    assert [of(found, h)["status"] for h in ("stop_target", "1", "5")] == ["open", "finished", "open"]


def test_the_upper_band_stops_buyers_only(nse) -> None:
    """PAYTM again, 19 to 21 February 2024, and the open after it: 5 % up a day at one price."""
    up = days(date(2024, 2, 1), date(2024, 2, 16), 341.3) | {
        date(2024, 2, 19): (358.35,) * 4,
        date(2024, 2, 20): (376.25,) * 4,
        date(2024, 2, 21): (395.05,) * 4,
        date(2024, 2, 22): (396.0, 402.0, 383.0, 390.0),
    }
    assert set(nse({A: up}, date(2024, 2, 16))["status"]) == {"not_entered"}
    sold = nse({A: up}, date(2024, 2, 16), "SELL", stop=370.0)
    assert (of(sold, "1")["exit_price"], of(sold, "stop_target")["exit_price"]) == (396.0, 396.0)
    assert of(sold, "1")["position"] == "exit"


@pytest.mark.parametrize("mic", ["XNYS"])
def test_an_exchange_without_bands_has_no_locked_sessions(world, signal, flat, mic) -> None:
    bars = flat(date(2024, 1, 2), date(2024, 2, 20), d2024_01_31=(80, 80, 80, 80))
    assert of(world(mic, {"A": bars}).outcomes(signal("A", date(2024, 1, 30))), "end_of_day")["exit_price"] == 80


def test_the_previous_close_of_the_file_judges_a_session_after_one_without_a_file(nse) -> None:
    """The panel lacks 2 February: against 761.2 or 609 any price is a move, and the file says 487.2."""
    gap = {day: bar for day, bar in PAYTM.items() if day != date(2024, 2, 2)}
    known = nse({A: gap}, date(2024, 1, 30), stop=700.0, prev_close={(A, date(2024, 2, 5)): 487.2})
    assert of(known, "stop_target")["exit_price"] == 395.0
    moved = dict(gap) | {date(2024, 2, 5): (487.2, 487.2, 487.2, 487.2)}
    still = nse({A: moved}, date(2024, 1, 30), stop=700.0, prev_close={(A, date(2024, 2, 5)): 487.2})
    assert of(still, "stop_target")["exit_price"] == 487.2


@pytest.mark.parametrize("series", ["BE", "BZ"])
def test_a_series_that_must_be_delivered_is_not_left_in_the_session_of_its_entry(nse, series) -> None:
    bars = QUIET | {date(2024, 1, 16): (100, 111, 94, 100), date(2024, 1, 17): (96, 97, 95, 96)}
    bought = nse({A: bars}, date(2024, 1, 15), series={A: series}, stop=95.0, target=110.0)
    assert [of(bought, h)["status"] for h in ("end_of_day", "1", "5")] == ["no_intraday", "no_intraday", "finished"]
    assert (of(bought, "stop_target")["exit_price"], of(bought, "stop_target")["exit_reason"]) == (96.0, "stop")
    sold = nse({A: bars}, date(2024, 1, 15), "SELL", series={A: series})
    assert "intraday_short" not in sold.filter(pl.col("status") == "finished")["position"].to_list()
    free = nse({A: bars}, date(2024, 1, 15), series={A: "EQ"}, stop=95.0)
    assert [of(free, h)["status"] for h in ("end_of_day", "1")] == ["finished", "finished"]
    assert of(free, "stop_target")["exit_price"] == 95.0


def test_a_capital_reduction_changes_neither_return_nor_levels(nse) -> None:
    """One share for ten: the price is ten times what it was."""
    bars = days(date(2024, 1, 1), date(2024, 1, 19), 2.0) | days(date(2024, 1, 22), date(2024, 4, 30), 20.0)
    found = nse({A: bars}, date(2024, 1, 15), stop=1.5, target=3.0, actions=[(A, date(2024, 1, 22), "capital_reduction", 0.1)])
    assert [of(found, h)["gross_return"] for h in ("5", "20", "stop_target")] == pytest.approx([0, 0, 0])


def test_actions_of_one_day_multiply(nse) -> None:
    """Bajaj Finance's kind of day: a share split 10:2, and a bonus of one for one."""
    bars = days(date(2024, 1, 1), date(2024, 1, 19), 1000.0) | days(date(2024, 1, 22), date(2024, 4, 30), 99.0)
    both = [
        (A, date(2024, 1, 22), "split", 5.0),
        (A, date(2024, 1, 22), "bonus", 2.0),
        (A, date(2024, 1, 22), "dividend", None, 1.0),
    ]
    found = nse({A: bars}, date(2024, 1, 15), stop=900.0, actions=both)
    assert of(found, "5")["gross_return"] == pytest.approx(-0.01)
    assert of(found, "stop_target")["exit_reason"] == "time"


MERGED = {day: bar for day, bar in QUIET.items() if day < date(2024, 1, 22)}


def test_a_merger_is_followed_in_the_successors_shares(nse, at) -> None:
    """42 for 25, as HDFC's; the successor splits while it is held."""
    successor = days(date(2024, 1, 1), date(2024, 1, 26), 60.0) | days(date(2024, 1, 29), date(2024, 4, 30), 33.0)
    actions = [(A, date(2024, 1, 22), "merger", 1.68, 2.0, S), (S, date(2024, 1, 29), "split", 2.0)]
    found = nse({A: MERGED, S: successor}, date(2024, 1, 15), stop=80.0, target=112.0, actions=actions)
    assert of(found, "20")["gross_return"] == pytest.approx((1.68 * 66 + 2) / 100 - 1)
    assert (of(found, "stop_target")["exit_reason"], of(found, "stop_target")["exit_ts"]) == ("target", at(2024, 1, 29, 3, 45))
    assert of(found, "5")["exit_ts"] == at(2024, 1, 23, 10)


@pytest.mark.parametrize("action", [("merger", None), ("merger", 1.5, None, f"{MIC}:NOWHERE")])
def test_a_merger_of_unknown_ratio_or_successor_is_told_and_not_counted(nse, action) -> None:
    found = nse({A: MERGED}, date(2024, 1, 15), stop=80.0, actions=[(A, date(2024, 1, 22), *action)])
    assert {of(found, h)["status"] for h in ("20", "stop_target")} == {"unadjusted"}
    assert of(found, "1")["status"] == "finished"


@pytest.mark.parametrize(
    ("action", "price"), [(("delisting", None), 70.0), (("delisting", None, 40.0), 40.0), (("merger", None, 120.0), 120.0)]
)
def test_a_share_that_ends_pays_what_is_stated_or_its_last_price_less_the_haircut(nse, at, action, price) -> None:
    # The 22nd was a holiday: the ex-date takes effect at the session after it.
    for levels in ({}, {"stop": 95.0, "target": 110.0}):
        found = nse({A: MERGED}, date(2024, 1, 15), actions=[(A, date(2024, 1, 22), *action)], **levels)
        left = of(found, "stop_target" if levels else "20")
        assert (left["exit_price"], left["exit_reason"], left["exit_ts"]) == (price, "cash_out", at(2024, 1, 23, 3, 45))
        assert left["gross_return"] == pytest.approx(price / 100 - 1)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_gap_beyond_every_band_is_an_action_that_is_missing(nse, side) -> None:
    """TATAMOTORS opened at 400 after 660.75 when its vehicles were split off: no share falls so far overnight by trading."""
    first, last = date(2025, 9, 1), date(2025, 11, 28)
    bars = days(first, date(2025, 10, 13), 660.75) | days(date(2025, 10, 14), last, 400.0)
    levels = {"stop": 600.0, "target": 700.0} if side == "BUY" else {"stop": 700.0, "target": 600.0}
    found = nse({A: bars, B: days(first, last, 10.0)}, date(2025, 10, 9), side, **levels)
    assert [of(found, h)["status"] for h in ("1", "5", "20", "stop_target")] == ["finished", *["unadjusted"] * 3]
    recorded = nse(
        {A: bars, B: days(first, last, 10.0)},
        date(2025, 10, 9),
        side,
        actions=[(A, date(2025, 10, 14), "demerger", 400 / 660.75)],
        **levels,
    )
    assert of(recorded, "20")["gross_return"] == pytest.approx(0)


def test_a_fall_within_the_band_and_one_that_trading_made_are_no_gaps(nse) -> None:
    """YESBANK opened 20 % down on 2020-07-23 (18.25 to 14.6); a fall by half within the day opens near the close before."""
    first, last = date(2020, 7, 1), date(2020, 9, 30)
    bars = days(first, date(2020, 7, 22), 18.25) | days(date(2020, 7, 23), last, 14.6)
    bars[date(2020, 7, 28)] = (14.5, 14.6, 7.0, 7.2)
    bars |= days(date(2020, 7, 29), last, 7.2)
    found = nse({A: bars, B: days(first, last, 10.0)}, date(2020, 7, 20))
    assert set(found.filter(pl.col("horizon") != "stop_target")["status"]) == {"finished"}


def test_what_the_findings_take_for_an_unrecorded_split_is_not_counted_either(world, signal, flat) -> None:
    bars = flat(date(2024, 1, 2), date(2024, 1, 30)) | flat(date(2024, 1, 31), date(2024, 3, 28), price=50)
    told = signal("A", date(2024, 1, 26))
    flagged = world(bars={"A": bars}, flags=[("A", date(2024, 1, 31), "unrecorded_split")]).outcomes(told)
    assert [of(flagged, h)["status"] for h in ("1", "5", "20")] == ["finished", "unadjusted", "unadjusted"]
    other = world(bars={"A": bars}, flags=[("A", date(2024, 1, 31), "frozen_price")]).outcomes(told)
    assert of(other, "5")["status"] == "finished"


def test_a_minute_at_a_band_is_no_fill_for_who_would_have_to_find_a_counterpart(world, signal, at) -> None:
    """Yesterday's close is 100: a purchase at 09:50 finds the price at the upper band until 10:05."""
    bars = QUIET | {date(2024, 1, 16): (100, 105, 100, 104)}
    locked = [(A, at(2024, 1, 16, 4, m), 105.0, 105.0, 105.0, 105.0) for m in range(20, 35)]
    open_again = [(A, at(2024, 1, 16, 4, 35), 104.5, 105.0, 104.0, 104.0)]
    told = signal(A, date(2024, 1, 16), mic=MIC, ts=at(2024, 1, 16, 4, 20))
    found = world(MIC, {A: bars, B: QUIET}, minutes=[*locked, *open_again]).outcomes(told)
    assert (of(found, "end_of_day")["entry_ts"], of(found, "end_of_day")["entry_price"]) == (at(2024, 1, 16, 4, 35), 104.5)
    sale = signal(A, date(2024, 1, 16), "SELL", mic=MIC, ts=at(2024, 1, 16, 4, 20))
    assert of(world(MIC, {A: bars, B: QUIET}, minutes=[*locked, *open_again]).outcomes(sale), "1")["entry_price"] == 105.0
    only_locked = world(MIC, {A: bars, B: QUIET}, minutes=locked).outcomes(told)
    assert of(only_locked, "5")["entry_ts"] == at(2024, 1, 17, 3, 45)


def test_an_action_of_who_has_no_bars_is_no_matter(world) -> None:
    market = world(MIC, {}, actions=[(A, date(2024, 1, 22), "delisting", None), (A, date(2024, 1, 23), "merger", None)]).market()
    assert (market.instruments, market.newest) == ([], 0)
