"""Taking a delivery back: what it brought goes, what it had replaced comes back, and the lake tells so."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.build.plan import plan_build
from pipelines.ingest.bar_provenance import UnknownBarError, trace
from pipelines.ingest.suites import Suite
from pipelines.ingest.withdrawal import UnknownBatchError, Withdrawal, find_batch, withdraw
from pipelines.storage.raw import registered
from tests.support.suites import no_expectations

DAY, NEXT = date(2024, 1, 2), date(2024, 1, 3)
FIRST, SECOND, THIRD = (datetime(2024, 2, day, 12, tzinfo=UTC) for day in (1, 2, 3))
AT = datetime(2024, 3, 1, 9, tzinfo=UTC)
TABLES = (
    *("bars_daily", "bars_1m", "bars_1m_extended", "corporate_actions", "instruments", "instrument_aliases"),
    *("bars_daily_superseded", "instruments_superseded", "instrument_aliases_superseded", "raw_files"),
)


@pytest.fixture
def suite() -> Suite:
    """No test here is about the gate."""
    return no_expectations


@pytest.fixture
def deliver(pipeline, bars_csv):
    """Bring one delivery of bars into the lake; returns its batch."""

    def run(name: str, *rows: tuple, at: datetime = FIRST) -> str:
        delivery = pipeline.deliver(name, bars_csv(rows), received_at=at)
        pipeline.ingest(delivery)
        return delivery.batch_id

    return run


@pytest.fixture
def act(pipeline):
    """Bring corporate actions into the lake; returns their batch."""

    def run(*lines: str, at: datetime = SECOND) -> str:
        text = "\n".join(["symbol,ex_date,action,ratio,successor", *lines]) + "\n"
        delivery = pipeline.deliver(f"actions-{at:%d}.csv", text, source="actions", received_at=at)
        pipeline.ingest(delivery)
        return delivery.batch_id

    return run


@pytest.fixture
def take_back(pipeline):
    def run(batch: str, at: datetime = AT, reason: str = "the vendor sent the wrong file"):
        return withdraw(pipeline.lake, "XNYS", Withdrawal(batch, reason, "ada", at))

    return run


def bar(symbol: str, day: date, close: float) -> tuple:
    return (symbol, day, close, close + 1, close - 1, close, 100)


def bars(pipeline) -> list[tuple]:
    return pipeline.rows("bars_daily").sort("symbol", "session_date").select("symbol", "session_date", "close").rows()


def test_rows_that_only_the_withdrawn_delivery_brought_are_gone_and_kept_as_replaced(pipeline, deliver, take_back) -> None:
    deliver("good.csv", bar("AAPL", DAY, 10.0))
    wrong = deliver("wrong.csv", bar("AAPL", NEXT, 99.0), bar("MSFT", NEXT, 50.0), at=SECOND)

    done = take_back(wrong)

    assert bars(pipeline) == [("AAPL", DAY, 10.0)]
    assert (done.tables["bars_daily"].removed, done.tables["bars_daily"].restored) == (2, 0)
    kept = pipeline.rows("bars_daily_superseded")
    assert set(kept["superseded_by_batch"]) == {f"withdrawal:{wrong}"}
    assert set(kept["superseded_at"]) == {AT}
    # An instrument that no delivery shows any more is none.
    assert pipeline.rows("instruments")["symbol"].to_list() == ["AAPL"]
    assert pipeline.rows("instrument_aliases")["value"].to_list() == ["AAPL"]


def test_the_version_that_the_withdrawn_delivery_replaced_comes_back_known_from_the_withdrawal_on(
    pipeline, deliver, take_back
) -> None:
    good = deliver("good.csv", bar("AAPL", DAY, 10.0))
    wrong = deliver("wrong.csv", bar("AAPL", DAY, 99.0), at=SECOND)

    done = take_back(wrong)

    (row,) = pipeline.rows("bars_daily").to_dicts()
    assert (row["close"], row["batch_id"], row["known_at"]) == (10.0, good, AT)
    assert (done.tables["bars_daily"].removed, done.tables["bars_daily"].restored) == (0, 1)
    believed = pipeline.rows("bars_daily_superseded").sort("known_at").select("close", "known_at", "superseded_at").rows()
    assert [(close, until) for close, _, until in believed] == [(10.0, SECOND), (99.0, AT)]


@pytest.mark.slow
@pytest.mark.measured
def test_what_a_later_delivery_said_of_the_same_rows_stands(pipeline, deliver, take_back) -> None:
    deliver("first.csv", bar("AAPL", DAY, 10.0))
    wrong = deliver("wrong.csv", bar("AAPL", DAY, 99.0), bar("AAPL", NEXT, 98.0), at=SECOND)
    later = deliver("later.csv", bar("AAPL", DAY, 11.0), at=THIRD)

    take_back(wrong)

    assert bars(pipeline) == [("AAPL", DAY, 11.0)]
    # Taken back as well, the later one leaves what stood before both: the withdrawn row does not come back.
    take_back(later, at=AT + timedelta(days=1))
    assert bars(pipeline) == [("AAPL", DAY, 10.0)]


def test_withdrawing_twice_changes_nothing_and_keeps_the_first_record(pipeline, deliver, take_back) -> None:
    deliver("good.csv", bar("AAPL", DAY, 10.0))
    wrong = deliver("wrong.csv", bar("AAPL", DAY, 99.0), bar("MSFT", DAY, 5.0), at=SECOND)
    take_back(wrong)
    versions = {name: pipeline.table(name).version() for name in TABLES}

    again = take_back(wrong, at=AT + timedelta(days=5), reason="another reason")

    assert again.was_done_before
    assert (again.withdrawal.reason, again.withdrawal.withdrawn_at) == ("the vendor sent the wrong file", AT)
    assert {name: pipeline.table(name).version() for name in TABLES} == versions


def test_a_withdrawn_file_that_comes_again_is_refused_with_the_reason(pipeline, deliver, take_back, bars_csv) -> None:
    wrong = deliver("wrong.csv", bar("AAPL", DAY, 99.0))
    take_back(wrong)

    again = pipeline.deliver("again.csv", bars_csv([bar("AAPL", DAY, 99.0)]), received_at=THIRD)
    staged = pipeline.stage(again)

    (file,) = staged.files
    assert file.status == "refused"
    assert "withdrawn on 2024-03-01 by ada: the vendor sent the wrong file" in (file.reason or "")
    pipeline.ingest(again)
    assert pipeline.rows("bars_daily").is_empty()


def test_the_right_file_after_a_withdrawal_is_known_from_its_arrival_not_from_the_session(pipeline, deliver, take_back) -> None:
    wrong = deliver("wrong.csv", bar("AAPL", DAY, 99.0))
    take_back(wrong)
    arrived = AT + timedelta(days=2)

    deliver("right.csv", bar("AAPL", DAY, 10.0), bar("AAPL", NEXT, 11.0), at=arrived)

    known = dict(pipeline.rows("bars_daily").select("session_date", "known_at").iter_rows())
    assert known[DAY] == arrived
    # What was never withdrawn is a first sighting as ever.
    assert known[NEXT] < FIRST


def test_a_delisting_taken_back_opens_the_listing_and_the_ticker_again(pipeline, deliver, act, take_back) -> None:
    deliver("bars.csv", bar("AAPL", DAY, 10.0))
    before = [pipeline.rows(name).drop("known_at") for name in ("instruments", "instrument_aliases")]
    delisting = act(f"AAPL,{NEXT},delisting,,")
    assert pipeline.rows("instruments")["is_active"].to_list() == [False]

    take_back(delisting)

    assert pipeline.rows("corporate_actions").is_empty()
    for was, name in zip(before, ("instruments", "instrument_aliases"), strict=True):
        assert pipeline.rows(name).drop("known_at").equals(was), name


def test_a_rename_taken_back_parts_what_it_had_joined(pipeline, deliver, act, take_back) -> None:
    deliver("bars.csv", bar("OLD", DAY, 10.0), bar("NEW", NEXT, 11.0))
    before = {name: pipeline.rows(name).drop("known_at") for name in ("bars_daily", "instruments", "instrument_aliases")}
    rename = act(f"OLD,{NEXT},rename,,NEW")
    assert set(pipeline.rows("bars_daily")["instrument_id"]) == {"XNYS:OLD"}

    take_back(rename)

    for name, was in before.items():
        key = list(pipeline.table(name).schema.key)
        assert pipeline.rows(name).drop("known_at").sort(key).equals(was.sort(key)), name


@pytest.mark.slow
@pytest.mark.measured
def test_a_rename_that_came_before_the_bars_taken_back_leaves_two_shares(pipeline, deliver, act, take_back) -> None:
    rename = act(f"OLD,{NEXT},rename,,NEW", at=FIRST)
    deliver("old.csv", bar("OLD", DAY, 10.0), at=SECOND)
    deliver("new.csv", bar("NEW", NEXT, 11.0), at=THIRD)
    assert set(pipeline.rows("bars_daily")["instrument_id"]) == {"XNYS:OLD"}

    take_back(rename)

    held = pipeline.rows("bars_daily").sort("session_date").select("symbol", "instrument_id").rows()
    assert held == [("OLD", "XNYS:OLD"), ("NEW", "XNYS:NEW")]
    assert pipeline.rows("instruments").sort("instrument_id").select(
        "instrument_id", "valid_from", "valid_to", "is_active"
    ).rows() == [
        ("XNYS:NEW", NEXT, None, True),
        ("XNYS:OLD", DAY, None, True),
    ]
    names = pipeline.rows("instrument_aliases").filter(pl.col("kind") == "symbol").sort("value")
    assert names.select("instrument_id", "value", "valid_from", "valid_to").rows() == [
        ("XNYS:NEW", "NEW", NEXT, None),
        ("XNYS:OLD", "OLD", DAY, None),
    ]


def test_a_delisting_that_came_before_the_bars_taken_back_leaves_an_open_listing(pipeline, deliver, act, take_back) -> None:
    delisting = act(f"AAPL,{NEXT},delisting,,", at=FIRST)
    deliver("bars.csv", bar("AAPL", DAY, 10.0), at=SECOND)
    assert pipeline.rows("instruments")["valid_to"].to_list() == [DAY]

    take_back(delisting)

    for name in ("instruments", "instrument_aliases"):
        assert pipeline.rows(name)["valid_to"].to_list() == [None], name
    # The share goes on as itself, not as a second one under a ticker used again.
    deliver("more.csv", bar("AAPL", NEXT, 10.0), at=AT + timedelta(days=1))
    assert set(pipeline.rows("bars_daily")["instrument_id"]) == {"XNYS:AAPL"}


def test_an_instrument_first_seen_in_the_withdrawn_delivery_stays_as_far_as_others_show_it(pipeline, deliver, take_back) -> None:
    wrong = deliver("wrong.csv", bar("AAPL", DAY, 99.0))
    right = deliver("right.csv", bar("AAPL", NEXT, 10.0), at=SECOND)

    take_back(wrong)

    (listing,) = pipeline.rows("instruments").to_dicts()
    assert (listing["valid_from"], listing["batch_id"], listing["known_at"]) == (NEXT, right, AT)
    (ticker,) = pipeline.rows("instrument_aliases").to_dicts()
    assert (ticker["value"], ticker["valid_from"], ticker["batch_id"]) == ("AAPL", NEXT, right)


def test_the_next_build_takes_up_what_the_withdrawal_changed(pipeline, deliver, take_back) -> None:
    deliver("good.csv", bar("AAPL", DAY, 10.0), bar("AAPL", NEXT, 11.0))
    names = ("bars_daily", "instruments", "instrument_aliases")
    built = {name: pipeline.table(name).version() for name in names}
    # Restated and taken back between two builds: the row is that of its old batch again, and known later.
    take_back(deliver("wrong.csv", bar("AAPL", DAY, 99.0), at=SECOND))

    plan = plan_build(pipeline.lake, "XNYS", built)

    assert plan.daily.select("instrument_id", "from_session", "to_session").rows() == [("XNYS:AAPL", DAY, NEXT)]


def test_an_instrument_that_is_gone_keeps_the_window_in_which_its_rows_are_removed(pipeline, deliver, take_back) -> None:
    deliver("good.csv", bar("AAPL", DAY, 10.0))
    wrong = deliver("wrong.csv", bar("MSFT", DAY, 99.0), bar("MSFT", NEXT, 99.0), at=SECOND)
    built = {name: pipeline.table(name).version() for name in ("bars_daily", "instruments", "instrument_aliases")}
    take_back(wrong)

    plan = plan_build(pipeline.lake, "XNYS", built)

    assert plan.daily.select("instrument_id", "from_session", "to_session").rows() == [("XNYS:MSFT", DAY, NEXT)]
    # There is no bar of the second session left, so that nothing is scanned there.
    assert plan.bounds.rows() == [(DAY, DAY)]


def test_explain_tells_of_the_withdrawal(pipeline, deliver, take_back) -> None:
    deliver("good.csv", bar("AAPL", DAY, 10.0))
    wrong = deliver("wrong.csv", bar("AAPL", DAY, 99.0), bar("AAPL", NEXT, 98.0), at=SECOND)
    take_back(wrong)

    found = trace(pipeline.lake, "XNYS", "bars_daily", "AAPL", str(DAY))

    told = "wrong.csv was withdrawn on 2024-03-01 by ada: the vendor sent the wrong file"
    assert [version["superseded_by"] for version in found["superseded"]] == ["wrong.csv", told]
    with pytest.raises(UnknownBarError, match=told):
        trace(pipeline.lake, "XNYS", "bars_daily", "AAPL", str(NEXT))


def test_an_unknown_a_too_short_and_a_refused_batch_are_told_in_one_line(pipeline, deliver) -> None:
    with pytest.raises(UnknownBatchError, match="no delivery of XNYS has a batch that begins with 'abcdef'"):
        find_batch(pipeline.lake, ["XNYS"], "abcdef")
    batch = deliver("good.csv", bar("AAPL", DAY, 10.0))
    pipeline.ingest(pipeline.deliver("broken.csv", "no,bars\n1,2\n"))
    with pytest.raises(UnknownBatchError, match="give at least"):
        find_batch(pipeline.lake, ["XNYS"], "")
    assert find_batch(pipeline.lake, ["XNYS"], batch[:6]) == ("XNYS", batch)
    (refused,) = registered(pipeline.lake, "XNYS").filter(pl.col("status") == "refused")["batch_id"]
    with pytest.raises(UnknownBatchError, match=r"broken\.csv .* was refused, so nothing of it is in the lake"):
        find_batch(pipeline.lake, ["XNYS"], refused)


def test_minutes_and_extended_minutes_go_with_their_delivery(pipeline, take_back) -> None:
    head = "symbol,date,open,high,low,close,volume"
    lines = [f"AAPL,2024-01-02 {time},10,11,9,10,100" for time in ("08:00", "08:01", "08:02", "09:30", "09:31")]
    delivery = pipeline.deliver("minutes.csv", "\n".join([head, *lines]) + "\n", received_at=FIRST)
    pipeline.ingest(delivery)
    assert [pipeline.rows(name).height for name in ("bars_1m", "bars_1m_extended")] == [2, 3]

    done = take_back(delivery.batch_id)

    assert [pipeline.rows(name).height for name in ("bars_1m", "bars_1m_extended", "instruments")] == [0, 0, 0]
    assert [done.tables[name].removed for name in ("bars_1m", "bars_1m_extended")] == [2, 3]


def test_other_deliveries_that_hold_the_emptied_sessions_are_named(pipeline, deliver, take_back) -> None:
    wrong = deliver("wrong.csv", bar("AAPL", DAY, 10.0))
    # The same bar again leaves no row of its own: only the register knows that it came.
    deliver("same.csv", bar("AAPL", DAY, 10.0), bar("AAPL", NEXT, 11.0), at=SECOND)

    done = take_back(wrong)

    assert done.others == ["same.csv"]
    assert pl.Series(pipeline.rows("bars_daily")["session_date"]).to_list() == [NEXT]
