"""The session so far, minute by minute: running extremes and volume, gaps carried forward, nothing from later minutes."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.indicators.cumulative import intraday_curves
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame

OPENS = datetime(2024, 1, 2, 3, 45, tzinfo=UTC)
SESSIONS = pl.DataFrame({"session_date": [date(2024, 1, 2)], "opens_at": [OPENS], "closes_at": [OPENS + timedelta(minutes=5)]})


def minutes(bars: dict[int, tuple[float, float, float, int]]) -> pl.DataFrame:
    """Bars of one instrument by minute of the session: high, low, close, volume."""
    rows = [
        ("XNSE", "XNSE:A", date(2024, 1, 2), OPENS + timedelta(minutes=at), "A", low, high, low, close, volume)
        for at, (high, low, close, volume) in bars.items()
    ]
    names = ["exchange", "instrument_id", "session_date", "ts", "symbol", "open", "high", "low", "close", "volume"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return frame.with_columns(known_at=pl.col("ts") + timedelta(minutes=1))


def test_extremes_and_volume_run_on_and_a_missing_minute_repeats_what_stood_before() -> None:
    curve = intraday_curves(minutes({1: (11, 9, 10, 100), 2: (10.5, 9.5, 9.5, 50), 4: (12, 10, 11, 7)}), SESSIONS).row(
        0, named=True
    )

    assert curve["open"] == 9
    assert curve["bars"] == 3
    assert curve["high_so_far"] == [None, 11, 11, 11, 12]
    assert curve["low_so_far"] == [None, 9, 9, 9, 9]
    assert curve["last_price"] == [None, 10, 9.5, 9.5, 11]
    assert curve["volume_so_far"] == [0, 100, 150, 150, 157]
    assert curve["known_so_far"][0] is None
    assert curve["known_so_far"][2:4] == [OPENS + timedelta(minutes=3)] * 2


def test_a_corrected_minute_makes_all_after_it_known_later() -> None:
    bars = minutes({0: (10, 10, 10, 1), 1: (10, 10, 10, 1), 2: (10, 10, 10, 1)})
    late = OPENS + timedelta(days=90)
    corrected = bars.with_columns(known_at=pl.when(pl.col("ts") == OPENS + timedelta(minutes=1)).then(late).otherwise("known_at"))

    known = intraday_curves(corrected, SESSIONS)["known_so_far"][0].to_list()
    assert known == [OPENS + timedelta(minutes=1), late, late, late, late]


def test_the_columns_are_those_of_the_table_and_bars_outside_the_session_stay_out() -> None:
    curves = intraday_curves(minutes({0: (10, 10, 10, 1), 5: (99, 99, 99, 1)}), SESSIONS)

    assert dict(curves.schema) == dict(empty_frame(TABLES["intraday_curves"]).schema)
    assert curves["bars"].to_list() == [1]
    assert curves["high_so_far"][0].max() == 10


@given(
    st.dictionaries(
        st.integers(0, 4), st.tuples(st.integers(10, 20), st.integers(1, 9), st.integers(5, 15), st.integers(0, 9)), min_size=1
    ),
    st.integers(1, 5),
)
def test_what_stands_at_a_minute_never_depends_on_later_ones(bars: dict[int, tuple[float, float, float, int]], until: int) -> None:
    whole = intraday_curves(minutes(dict(sorted(bars.items()))), SESSIONS).row(0, named=True)
    known = {at: bar for at, bar in sorted(bars.items()) if at < until}
    if not known:
        assert whole["last_price"][:until] == [None] * until
        return
    cut = intraday_curves(minutes(known), SESSIONS).row(0, named=True)
    for name in ("high_so_far", "low_so_far", "last_price", "volume_so_far", "known_so_far"):
        assert whole[name][:until] == cut[name][:until]
