"""A whole bar at a hundredfold is possible by itself; the sessions beside it say that it is not."""

import pytest

DAYS = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]


def with_previous_closes(text: str) -> str:
    """A header for the eighth column."""
    return text.replace("volume\n", "volume,prev_close\n")


def bars(*closes: float) -> list[tuple[object, ...]]:
    return [("A", day, close, close * 1.01, close * 0.99, close, 1000) for day, close in zip(DAYS, closes, strict=False)]


@pytest.mark.parametrize(
    ("closes", "held"),
    [
        ((100, 10_000, 101, 102), [DAYS[1]]),  # a bar in hundredths
        ((100, 1, 101, 102), [DAYS[1]]),
        ((100, 101, 102, 10_200), [DAYS[3]]),  # the newest bar
        ((10_000, 100, 101, 102), []),  # nothing is known before the first one
        ((100, 120, 96, 77), []),  # real moves of a fifth
        ((100, 50, 5.5, 5.4), []),  # a crash
        ((3359.6, 3358.0, 33.7, 33.6), []),  # a split of a hundred for one, not recorded: GOLDBEES on 2019-12-19
    ],
)
def test_a_close_far_off_its_neighbours_is_held_and_real_moves_pass(pipeline, bars_csv, closes, held) -> None:
    figures = pipeline.ingest(pipeline.deliver("bars.csv", bars_csv(bars(*closes))))["bars_daily"]
    assert (figures["accepted"], figures["quarantined"]) == (4 - len(held), len(held))
    found = pipeline.rows("quarantine")
    assert [str(day) for day in found["session_date"]] == held
    assert set(found["rule"]) <= {"out_of_line"}


@pytest.mark.parametrize(
    ("days", "closes"),
    [
        # HDIL and NIACL as NSE printed them; the files of the months between are not there.
        (["2019-01-11", "2019-09-25", "2019-10-31", "2024-04-01"], [(28.05, 27.0), (4.8, 4.6), (1.8, 1.75), (4.4, 4.2)]),
        (
            ["2019-01-10", "2019-01-11", "2019-09-25", "2019-10-31"],
            [(177.8, 179.05), (179.05, 179.65), (105.95, 99.9), (170.65, 167.8)],
        ),
        (["2019-01-11", "2019-01-14", "2019-10-31", "2024-04-01"], [(38.5, 38.5), (38.5, 38.5), (0.25, 0.2), (1.0, 1.05)]),
    ],
)
def test_bars_months_apart_do_not_contradict_each_other(pipeline, bars_csv, days, closes) -> None:
    rows = [
        ("A", day, close, close * 1.01, close * 0.99, close, 1000, before)
        for day, (before, close) in zip(days, closes, strict=True)
    ]
    figures = pipeline.ingest(pipeline.deliver("bars.csv", with_previous_closes(bars_csv(rows))))["bars_daily"]
    assert (figures["accepted"], pipeline.quarantined()) == (4, [])


def test_the_previous_close_that_the_next_session_prints_contradicts_a_close(pipeline, bars_csv) -> None:
    rows = [
        ("A", day, 10, 20, 10, close, 1000, before) for day, close, before in zip(DAYS, (10, 20, 10.1), (10, 10, 10), strict=False)
    ]
    pipeline.ingest(pipeline.deliver("bars.csv", with_previous_closes(bars_csv(rows))))
    assert pipeline.quarantined() == [("bars_daily", "out_of_line")]


def test_stored_bars_are_neighbours_too(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("first.csv", bars_csv(bars(100, 101, 102))))
    pipeline.ingest(pipeline.deliver("next.csv", bars_csv([("A", DAYS[3], 10_000, 10_100, 9_900, 10_000, 5)])))
    assert pipeline.quarantined() == [("bars_daily", "out_of_line")]


def test_a_recorded_split_puts_both_sides_in_line(pipeline, bars_csv) -> None:
    text = f"symbol,ex_date,action,ratio\nA,{DAYS[1]},split,100\n"
    pipeline.ingest(pipeline.deliver("actions.csv", text, source="actions"))
    figures = pipeline.ingest(pipeline.deliver("bars.csv", bars_csv(bars(3359.6, 33.55, 33.7, 33.6))))["bars_daily"]
    assert figures["accepted"] == 4


@pytest.mark.parametrize(
    ("bar", "held"),
    [
        ((2443, 24_210, 2430, 24_201), True),  # a tenfold close between sessions at 2,441 and 2,448
        ((24_430, 24_510, 24_300, 24_401), True),  # the whole bar
        ((2443, 24_210, 2430, 2441), True),  # a high alone
        ((2443, 2450, 243, 2441), True),  # a low alone
        ((2443, 2930, 2430, 2925), False),  # a true gain of a fifth
        ((2443, 5000, 2430, 4900), False),  # doubled: two witnesses more are needed
        ((1220, 1230, 1100, 1150), False),  # halved overnight
    ],
)
def test_a_price_that_both_neighbours_contradict_is_held_and_a_true_move_is_not(pipeline, bars_csv, bar, held: bool) -> None:
    rows = [("A", DAYS[0], 2440, 2450, 2430, 2441, 1000), ("A", DAYS[1], *bar, 1500), ("A", DAYS[2], 2446, 2455, 2440, 2448, 1100)]
    figures = pipeline.ingest(pipeline.deliver("bars.csv", bars_csv(rows)))["bars_daily"]
    assert figures["quarantined"] == held
    assert {rule for _, rule in pipeline.quarantined()} <= {"out_of_line"}


def test_a_tenfold_close_is_held_on_its_first_day_where_the_open_agrees_with_the_session_before(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("first.csv", bars_csv([("A", DAYS[0], 2440, 2450, 2430, 2441, 1000)])))
    pipeline.ingest(pipeline.deliver("next.csv", bars_csv([("A", DAYS[1], 2443, 24_210, 2430, 24_201, 1500)])))
    assert pipeline.quarantined() == [("bars_daily", "out_of_line")]
