"""What a restatement does to what is already known: rows that change are dated by it, signals that were issued stay issued."""

from datetime import date
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

pytestmark = pytest.mark.slow

#: A quiet restatement of a volume, a close that is another one, and both taken back together.
VOLUME, CLOSE = date(2014, 2, 12), date(2014, 1, 15)
SYMBOL = "IBM"
TRACK = ("signal_outcomes", "scanner_performance")


@pytest.fixture(scope="module")
def restated(based_home: Any, tape: Any, market: Any, tmp_path_factory: Any) -> SimpleNamespace:
    """A home with a nightly run after each restatement, and its tables after each run."""
    folder = tmp_path_factory.mktemp("restated")
    home = based_home("restated")
    volume, close = (_changed(tape, day, **change) for day, change in ((VOLUME, {"volume": 1000}), (CLOSE, {"close": 3.0})))
    original = tape.daily(CLOSE, CLOSE, [SYMBOL])
    states = [_tables(home)]
    for number, lines in enumerate((volume, close, original), start=1):
        home.ingest(market.write(folder / f"{number}.csv", lines), received=market.arrival(number))
        home.nightly()
        states.append(_tables(home))
    return SimpleNamespace(home=home, states=states, arrivals=[market.arrival(number) for number in range(4)])


def _changed(tape: Any, day: date, close: float = 0.0, volume: int = 0) -> list[str]:
    (line,) = tape.daily(day, day, [SYMBOL])
    symbol, when, opening, high, low, last, shares = line.split(",")
    price = round(float(last) + close, 4)
    prices = f"{opening},{max(float(high), price)},{min(float(low), price)},{price}"
    return [f"{symbol},{when},{prices},{int(shares) + volume}"]


def _tables(home: Any) -> dict[str, pl.DataFrame]:
    names = ("bars_daily", "indicators_daily", "scanner_signals", "scanner_signals_superseded", *TRACK)
    return {name: home.rows(name) for name in names}


def _as_of(home: Any, query: str, moment: str) -> tuple[int, str]:
    code, output = home.run("sql", query, "--as-of", moment, "--format", "csv")
    return code, output


def test_shares_that_change_no_signal_leave_every_signal_and_its_record_as_they_were(restated: Any) -> None:
    before, after = restated.states[:2]
    same = before["scanner_signals"].join(
        after["scanner_signals"], on=before["scanner_signals"].columns, how="semi", nulls_equal=True
    )

    looked_at = after["scanner_signals"].filter(pl.col("symbol") == SYMBOL, pl.col("session_date") >= VOLUME)
    assert looked_at.height > 20
    assert same.height == before["scanner_signals"].height
    assert not (after["signal_outcomes"]["status"] == "late").any()
    shared = after["signal_outcomes"].join(
        before["signal_outcomes"], on=before["signal_outcomes"].columns, how="anti", nulls_equal=True
    )
    assert shared.join(before["scanner_signals"], on="signal_id", how="semi").is_empty()


def test_indicators_that_changed_are_known_since_the_restatement_and_the_others_as_before(restated: Any) -> None:
    before, after = (state["indicators_daily"] for state in restated.states[1:3])
    values = [name for name in after.columns if name not in ("known_at", "session_year")]
    changed = after.join(before, on=values, how="anti", nulls_equal=True)

    assert changed.height > 80
    assert set(changed["symbol"]) == {SYMBOL}
    assert set(changed["known_at"]) == {restated.arrivals[2]}
    kept = after.join(changed, on=["instrument_id", "session_date"], how="anti")
    assert kept.join(before, on=["instrument_id", "session_date", "known_at"], how="anti").is_empty()


def test_signals_that_a_restatement_brings_are_known_since_then_and_are_too_late_to_enter(restated: Any) -> None:
    before, after = (state["scanner_signals"] for state in restated.states[1:3])
    new = after.join(before, on="signal_id", how="anti")

    assert new.height
    assert set(new["known_at"]) == {restated.arrivals[2]}
    outcomes = restated.states[2]["signal_outcomes"].join(new, on="signal_id", how="semi")
    assert set(outcomes["status"]) <= {"late", "open"}


def test_signals_that_stay_are_as_they_were_issued(restated: Any) -> None:
    before, after = (state["scanner_signals"] for state in restated.states[1:3])
    both = after.join(before.select("signal_id"), on="signal_id", how="semi")

    assert both.join(before, on=before.columns, how="anti", nulls_equal=True).is_empty()


def test_signals_that_are_withdrawn_stay_readable_until_the_restatement(restated: Any) -> None:
    before, after = restated.states[1:3]
    gone = before["scanner_signals"].join(after["scanner_signals"], on="signal_id", how="anti")
    kept = after["scanner_signals_superseded"]

    assert gone.height
    assert gone.join(kept, on="signal_id", how="anti").is_empty()
    assert set(kept.join(gone, on="signal_id", how="semi")["superseded_at"]) == {restated.arrivals[2]}


def test_signals_of_a_restatement_taken_back_are_known_since_they_were_first_issued(restated: Any) -> None:
    before, after = restated.states[1]["scanner_signals"], restated.states[3]["scanner_signals"]

    assert after.sort("signal_id").equals(before.sort("signal_id"), null_equal=True)


def test_as_of_a_moment_before_the_restatement_nothing_of_it_shows(restated: Any) -> None:
    home, first, second = restated.home, restated.states[0], restated.states[1]
    moment = restated.arrivals[2].replace(hour=11).isoformat()

    code, signals = _as_of(home, "select signal_id, entry_price from scanner_signals order by 1", moment)
    assert code == 0, signals
    expected = second["scanner_signals"].sort("signal_id").select("signal_id", "entry_price")
    assert signals.splitlines() == expected.write_csv().splitlines()
    code, rows = _as_of(home, "select session_date, rsi_14, obv from indicators_daily where symbol = 'IBM' order by 1", moment)
    assert code == 0, rows
    told = set(rows.splitlines()[1:])
    then = second["indicators_daily"].filter(pl.col("symbol") == SYMBOL).select("session_date", "rsi_14", "obv")
    assert told
    assert told <= set(then.write_csv().splitlines())
    assert first["indicators_daily"].height > len(told)
