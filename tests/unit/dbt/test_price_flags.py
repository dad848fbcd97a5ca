"""What the mart `price_flags` notices, and what it leaves alone."""

from collections.abc import Callable, Sequence
from datetime import date

import polars as pl
import pytest

from pipelines.market.calendar import calendar

Mart = Callable[..., pl.DataFrame]
SESSIONS = calendar("XNYS").between(date(2024, 1, 2), date(2024, 4, 30))
JUMP = 30  # position of the session with the jump


def bars(closes: Sequence[float], volumes: Sequence[float], name: str = "A", without: Sequence[int] = ()) -> pl.DataFrame:
    rows = [
        (f"XNYS:{name}", name, session.session_date, close, int(volume))
        for i, (session, close, volume) in enumerate(zip(SESSIONS, closes, volumes, strict=False))
        if i not in without
    ]
    frame = pl.DataFrame(rows, schema=["instrument_id", "symbol", "session_date", "close", "volume"], orient="row")
    same = {column: pl.col("close") for column in ("open", "high", "low")}
    return frame.with_columns(exchange=pl.lit("XNYS"), **same)


def listed(name: str = "A") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "exchange": "XNYS",
            "instrument_id": f"XNYS:{name}",
            "symbol": name,
            "valid_from": SESSIONS[0].session_date,
            "tick_size": 0.01,
            "is_active": True,
        }
    )


def action(kind: str, ratio: float | None, position: int = JUMP) -> pl.DataFrame:
    day = SESSIONS[position].session_date
    schema = {"exchange": pl.String, "instrument_id": pl.String, "ex_date": pl.Date, "action": pl.String, "ratio": pl.Float64}
    return pl.DataFrame([("XNYS", "XNYS:A", day, kind, ratio)], schema=schema, orient="row")


def jump(before: float, after: float, volume: float, count: int = 60) -> tuple[list[float], list[float]]:
    """Closes that wander a little around a level, and volumes of 1,000 but for the jump's session."""
    closes = [(before if i < JUMP else after) * (1 + 0.002 * (i % 5)) for i in range(count)]
    return closes, [volume if i == JUMP else 1000 if i < JUMP else 1000 * before / after for i in range(count)]


def flags(mart: Mart, daily: pl.DataFrame, actions: pl.DataFrame | None = None, **extra: pl.DataFrame) -> list[tuple[object, ...]]:
    frames = {"bars_daily": daily, "instruments": listed()} | ({"corporate_actions": actions} if actions is not None else {})
    found = mart("price_flags", "XNYS", frames, **extra)
    return found.select("session_date", "flag", pl.col("split_ratio").round(6)).rows()


AT = SESSIONS[JUMP].session_date


@pytest.mark.parametrize(
    ("before", "after", "volume", "ratio"),
    [
        (645.57, 93.70, 7160, 7.0),  # AAPL, 2014-06-09
        (2910.50, 297.10, 10290, 10.0),  # SBIN, 2014-11-20
        (2655.70, 1334.35, 1210, 2.0),  # RELIANCE, 2024-10-28
        (1413.70, 964.85, 1430, 1.5),  # LT, 2013-07-11
        (10.0, 99.0, 150, 0.1),  # ten old shares for a new one
        (100.0, 50.0, 900, 2.0),  # on fewer shares than usual: volume need not agree
        (363.6, 274.4, 6630, 4 / 3),  # WIPRO, 2019-03-06
    ],
)
def test_a_jump_like_a_split_with_volume_the_other_way_is_flagged(
    mart: Mart, before: float, after: float, volume: float, ratio: float
) -> None:
    assert flags(mart, bars(*jump(before, after, volume))) == [(AT, "unrecorded_split", pytest.approx(ratio, abs=1e-6))]


@pytest.mark.parametrize(
    ("before", "after", "volume"),
    [
        (53.50, 25.75, 22_430),  # AAPL lost half on 2000-09-29, with 22 times the usual shares
        (100.0, 80.0, 1250),  # a fall of a fifth
        (100.0, 200.0, 2000),  # doubled on more shares
    ],
)
def test_true_moves_are_not_flagged(mart: Mart, before: float, after: float, volume: float) -> None:
    assert flags(mart, bars(*jump(before, after, volume))) == []


def test_a_step_of_no_simple_ratio_is_a_suspected_demerger(mart: Mart) -> None:
    assert flags(mart, bars(*jump(660.75, 400.0, 3970))) == [(AT, "unrecorded_demerger", None)]  # TATAMOTORS, 2025-10-14


def test_the_open_decides_and_a_day_s_fall_is_its_own(mart: Mart) -> None:
    """Halved between open and close: no action does that."""
    daily = bars(*jump(100, 50, 900))
    fell = pl.col("session_date") == AT
    fallen = daily.with_columns(pl.when(fell).then(99.0).otherwise(c).alias(c) for c in ("open", "high"))
    assert flags(mart, fallen) == []


def test_a_stray_opening_print_is_none(mart: Mart) -> None:
    daily = bars([100.0] * 29 + [101.0] * 31, [1000] * 60)
    stray = daily.with_columns(pl.when(pl.col("session_date") == AT).then(50.0).otherwise(c).alias(c) for c in ("open", "low"))
    assert [f for f in flags(mart, stray) if f[1] == "unrecorded_split"] == []


def test_a_vendor_that_prints_the_previous_close_in_the_new_basis_says_that_it_was_split(mart: Mart) -> None:
    ex_date = pl.col("session_date") == AT
    printed = pl.when(ex_date).then(50.0).otherwise(pl.col("close").shift(1))
    daily = bars(*jump(100, 50, 1500)).with_columns(prev_close=printed)
    assert flags(mart, daily) == [(AT, "unrecorded_split", 2.0)]


def test_the_printed_previous_close_finds_a_split_behind_missing_sessions_that_moved_the_price(mart: Mart) -> None:
    """90 was the last close on record, 150 the one that the file prints: it opened at half of the latter."""
    closes, volumes = jump(90, 75, 1500)
    daily = bars(closes, volumes, without=range(JUMP - 8, JUMP)).with_columns(prev_close=pl.lit(150.0))
    assert (AT, "unrecorded_split", 2.0) in flags(
        mart, daily.filter(pl.col("session_date") <= AT).with_columns(prev_close=pl.when(pl.col("session_date") == AT).then(150.0))
    )


def test_a_penny_share_that_halves_by_one_tick_is_not_split(mart: Mart) -> None:
    closes = [0.02] * JUMP + [0.01] * (60 - JUMP)
    found = flags(mart, bars(closes, [1000 + n for n in range(60)]))
    assert [flag for _, flag, _ in found if flag != "frozen_price"] == []


def test_a_true_move_on_record_takes_the_flag_away(mart: Mart) -> None:
    assert flags(mart, bars(*jump(100, 50, 900)), action("true_move", None)) == []


def test_a_tenfold_price_that_reverts_is_a_spike_told_by_the_next_session(mart: Mart) -> None:
    closes = [2441.0 + n % 3 for n in range(60)]
    closes[JUMP] = 24_201.0
    found = mart("price_flags", "XNYS", {"bars_daily": bars(closes, [1000 + n for n in range(60)]), "instruments": listed()})
    spikes = found.filter(pl.col("flag") == "price_spike").select("session_date", "since").rows()
    assert spikes == [(SESSIONS[JUMP + 1].session_date, AT)]


def test_a_bar_of_ten_times_the_usual_range_is_named_and_a_wild_day_is_not(mart: Mart) -> None:
    daily = bars([100.0 + n % 4 for n in range(60)], [1000 + n for n in range(60)])
    daily = daily.with_columns(high=pl.col("close") * 1.01, low=pl.col("close") * 0.99)
    day = pl.col("session_date") == AT
    for high, expected in ((135.0, ["wide_range"]), (115.0, [])):
        wild = daily.with_columns(high=pl.when(day).then(high).otherwise("high"))
        assert [flag for _, flag, _ in flags(mart, wild)] == expected


@pytest.mark.parametrize("odd", ["tenfold close", "tenfold range"])
def test_a_tenfold_close_and_a_tenfold_range_cost_the_session_its_quality_score(mart: Mart, odd: str) -> None:
    daily = bars([100.0 + n % 4 for n in range(60)], [1000 + n for n in range(60)])
    daily = daily.with_columns(high=pl.col("close") * 1.01, low=pl.col("close") * 0.99)
    changed = {"close": 1_000.0, "open": 1_000.0, "high": 1_010.0, "low": 990.0} if odd == "tenfold close" else {"high": 135.0}
    day = pl.col("session_date") == AT
    odd_bar = daily.with_columns(pl.when(day).then(value).otherwise(name).alias(name) for name, value in changed.items())
    stated = pl.lit(SESSIONS[0].closes_at)
    frames = {"bars_daily": odd_bar.with_columns(known_at=stated), "instruments": listed()}
    scores = mart("data_quality_metrics", "XNYS", frames).sort("date").select("date", "outlier_count", "data_quality_score")
    # The way back from a tenfold close is as odd as the way there.
    lost = [AT, SESSIONS[JUMP + 1].session_date] if odd == "tenfold close" else [AT]
    assert scores.filter(pl.col("data_quality_score") < 1).rows() == [(lost_day, 1, 0.0) for lost_day in lost]
    assert scores.height >= 60


def test_a_recorded_split_explains_its_jump(mart: Mart) -> None:
    assert flags(mart, bars(*jump(700, 100, 7000)), action("split", 7.0)) == []


def test_a_recorded_split_of_another_ratio_leaves_the_rest_of_the_jump(mart: Mart) -> None:
    found = flags(mart, bars(*jump(400, 100, 4000)), action("split", 2.0))
    assert found == [(AT, "unrecorded_split", 2.0)]


def test_a_recorded_split_without_a_jump_is_flagged(mart: Mart) -> None:
    found = flags(mart, bars(*jump(100, 100, 1000)), action("bonus", 2.0))
    assert found == [(AT, "split_without_jump", 2.0)]


def test_a_small_bonus_without_a_visible_jump_and_a_demerger_without_a_ratio_are_not(mart: Mart) -> None:
    assert flags(mart, bars(*jump(100, 100, 1000)), action("bonus", 1.1)) == []
    assert flags(mart, bars(*jump(660.75, 395.45, 3970)), action("demerger", None)) == []


def test_a_jump_over_missing_sessions_is_seen_and_a_small_one_over_a_long_halt_is_not(mart: Mart) -> None:
    assert flags(mart, bars(*jump(700, 100, 7000), without=range(JUMP - 4, JUMP))) == [(AT, "unrecorded_split", 7.0)]
    assert flags(mart, bars(*jump(700, 100, 7000), without=range(JUMP - 25, JUMP))) == [(AT, "unrecorded_split", 7.0)]
    assert flags(mart, bars(*jump(150, 100, 1500), without=range(JUMP - 25, JUMP))) == []


def test_a_close_that_stands_still_is_flagged_once_on_its_tenth_session(mart: Mart) -> None:
    closes = [100 + i % 3 if i < JUMP else 101.0 for i in range(60)]
    closes[JUMP - 1] = 99.0
    found = mart("price_flags", "XNYS", {"bars_daily": bars(closes, [1000] * 60), "instruments": listed()})
    assert found.select("session_date", "flag", "since").rows() == [(SESSIONS[JUMP + 9].session_date, "frozen_price", AT)]


def test_nine_equal_closes_are_not(mart: Mart) -> None:
    closes = [101.0 if JUMP <= i < JUMP + 9 else 90.0 + i % 4 for i in range(60)]
    assert flags(mart, bars(closes, [1000] * 60)) == []


def test_a_later_window_finds_what_the_whole_history_finds(mart: Mart) -> None:
    daily = bars(*jump(700, 100, 7000))
    window = pl.DataFrame(
        {
            "instrument_id": "XNYS:A",
            "from_session": AT,
            "to_session": daily["session_date"].max(),
            "changed_to": daily["session_date"].max(),
        }
    )
    assert flags(mart, daily, window=window) == flags(mart, daily)


def test_bars_stay_as_they_are(mart: Mart) -> None:
    """Flags name; whoever adjusts needs a recorded action."""
    found = mart("price_flags", "XNYS", {"bars_daily": bars(*jump(700, 100, 7000)), "instruments": listed()})
    (row,) = found.iter_rows(named=True)
    assert row["price_ratio"] == pytest.approx(1 / 7, rel=0.01)
    assert row["volume_ratio"] == pytest.approx(7.0)
