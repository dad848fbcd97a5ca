"""Release from quarantine: a decision overrules the rules it names and no other, once, and for every later delivery of the file."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from zipfile import ZipFile

import polars as pl
import pytest

from pipelines.ingest import overridden_rows as release_module
from pipelines.ingest.batches import read_batch
from pipelines.ingest.overridden_rows import (
    AlreadyReleasedError,
    NotReleasedError,
    SelectionError,
    override_request,
    record_release,
    stage_release,
)
from pipelines.ingest.overrides import Selection, quarantined
from pipelines.ingest.publish import publish_staged, run_gate
from pipelines.ingest.requests import load_request, replay_request, save_request
from pipelines.ingest.suites import Suite
from pipelines.sources.registry import load_sources
from tests.support.pipeline import stage_request
from tests.support.suites import only_for

DAY, NEXT = date(2024, 1, 2), date(2024, 1, 3)
DECIDED = datetime(2025, 3, 5, 9, 30, tzinfo=UTC)
GOOD = ("AAPL", DAY, 10, 11, 9, 10, 100)
#: High is forty times low: stopped by the row rule implausible_range (20), let pass by the gate's range_is_possible (50).
WIDE = ("MSFT", DAY, 10, 40, 1, 10, 100)


@pytest.fixture
def suite(request: pytest.FixtureRequest) -> Suite:
    """Great Expectations costs half a second a table: only where a test asks for the `gate`, and there for bars only."""
    return only_for({"bars_daily", "bars_1m"} if "gate" in request.fixturenames else ())


@pytest.fixture
def gate() -> None:
    """The suites of bars are at work."""


@pytest.fixture
def release(pipeline):
    """Carry a decision out, step by step as the job does. Returns the figures of the table in question."""

    def run(selection: Selection, *, overrule=(), at=DECIDED, reason="the exchange confirms it"):
        sources, state = load_sources(), pipeline.settings.state_dir
        priorities = {name: source.priority for name, source in sources.items()}
        order = override_request(
            pipeline.lake, "XNYS", selection, reason=reason, decided_by="ada", decided_at=at, overrule=overrule
        )
        save_request(order, state)
        assert load_request(order.request_id, state) == order
        folder = stage_release(pipeline.lake, order, sources, state, pipeline.limits, pipeline.suite)
        done, refused = None, False
        for table in ("instruments", "instrument_aliases", "bars_daily", "bars_1m"):
            validation = run_gate(pipeline.lake, "XNYS", table, folder, state, pipeline.suite)
            refused |= bool(validation.refused)
            if validation.refused:
                continue
            published = publish_staged(pipeline.lake, "XNYS", table, folder, state, priorities)
            done = published if table == order.decision.selection.table else done
        if not refused:
            record_release(pipeline.lake, order, folder)
        return done

    return run


def versions(pipeline) -> dict[str, int | None]:
    tables = ("quarantine", "bars_daily", "bars_1m", "instruments", "instrument_aliases", "raw_files", "bars_daily_superseded")
    return {name: pipeline.table(name).version() for name in tables}


def closes(pipeline) -> list[tuple[object, ...]]:
    return pipeline.rows("bars_daily").select("symbol", "session_date", "close").sort("symbol", "session_date").rows()


def row_of(delivery, number: int) -> Selection:
    return Selection(batch_id=delivery.batch_id[:8], row_number=number)


# --- a row rule


def test_a_released_row_is_in_the_lake_with_its_provenance_and_the_decision_on_record(pipeline, bars_csv, release) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([GOOD, WIDE]))
    assert pipeline.ingest(delivery)["bars_daily"]["quarantined"] == 1

    done = release(row_of(delivery, 3))

    assert (done.accepted, done.restated, done.sessions) == (1, 0, {DAY: 1})
    row = pipeline.rows("bars_daily").filter(symbol="MSFT").row(0, named=True)
    assert (row["high"], row["batch_id"], row["row_number"]) == (40.0, delivery.batch_id, 3)
    # A first sighting was known at the close, as any bar of a back-filled file.
    assert row["known_at"] == datetime(2024, 1, 2, 21, tzinfo=UTC)
    assert pipeline.rows("instruments")["instrument_id"].sort().to_list() == ["XNYS:AAPL", "XNYS:MSFT"]
    (record,) = quarantined(pipeline.lake, "XNYS").to_dicts()
    assert (record["released_at"], record["decided_by"], record["decision"], record["overruled"]) == (
        DECIDED,
        "ada",
        "the exchange confirms it",
        "implausible_range",
    )


def test_released_twice_says_so_and_writes_nothing(pipeline, bars_csv, release) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([GOOD, WIDE]))
    pipeline.ingest(delivery)
    release(row_of(delivery, 3))
    before = versions(pipeline)
    with pytest.raises(AlreadyReleasedError, match=r"already released 2025-03-05 09:30:00 UTC by ada: the exchange confirms it"):
        release(row_of(delivery, 3))
    assert versions(pipeline) == before


def test_the_same_file_again_honours_the_decision(pipeline, bars_csv, release) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([GOOD, WIDE, ("IBM", DAY, 10, 9, 11, 10, 100)]))
    pipeline.ingest(delivery)
    release(row_of(delivery, 3))
    before = versions(pipeline)

    figures = pipeline.ingest(delivery)["bars_daily"]

    assert figures == {"read": 3, "accepted": 0, "unchanged": 2, "restated": 0, "duplicates": 0, "quarantined": 1}
    assert versions(pipeline) == before


def test_a_replay_into_an_emptied_table_brings_the_released_row_back(pipeline, bars_csv, release) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([GOOD, WIDE]))
    pipeline.ingest(delivery)
    release(row_of(delivery, 3))
    order = replay_request(pipeline.lake, "XNYS", [DAY])
    staged = pipeline.stage(*order.deliveries, sessions=order.sessions)
    assert staged.tables["bars_daily"]["symbol"].to_list() == ["AAPL", "MSFT"]
    assert staged.quarantine.is_empty()


def test_another_rule_still_stops_the_row_and_nothing_changes(pipeline, bars_csv, release) -> None:
    # Wider than 20, and the volume is negative: two faults, of which the first names the row.
    delivery = pipeline.deliver("bars.csv", bars_csv([GOOD, ("MSFT", DAY, 10, 40, 1, 10, -5)]))
    pipeline.ingest(delivery)
    before = versions(pipeline)
    with pytest.raises(
        NotReleasedError, match=r"1 of 1 rows are stopped: row 3 of batch \w+: negative_volume \(volume is negative\)"
    ):
        release(row_of(delivery, 3))
    assert versions(pipeline) == before


def test_the_gate_stops_a_released_row_and_nothing_changes_not_even_the_instrument(pipeline, bars_csv, release, gate) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([GOOD, ("MSFT", DAY, 10, 4000, 1, 10, 100)]))
    pipeline.ingest(delivery)
    before = versions(pipeline)
    assert release(row_of(delivery, 3)) is None
    assert versions(pipeline) == before
    assert pipeline.rows("instruments")["symbol"].to_list() == ["AAPL"]


@pytest.mark.slow
@pytest.mark.measured
def test_a_decision_may_name_the_expectation_of_the_gate_besides(pipeline, bars_csv, release, gate) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([GOOD, ("MSFT", DAY, 10, 4000, 1, 10, 100)]))
    pipeline.ingest(delivery)
    assert release(row_of(delivery, 3), overrule=["session_refused:range_is_possible"]).accepted == 1
    assert quarantined(pipeline.lake, "XNYS")["overruled"].to_list() == ["implausible_range, session_refused:range_is_possible"]
    assert pipeline.ingest(delivery)["bars_daily"]["unchanged"] == 2


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (("MSFT", DAY, 10, 11, 9, "", 100), "missing_price|unreadable_field"),
        (("MSFT", date(2024, 1, 1), 10, 11, 9, 10, 1), "not_a_session"),
    ],
)
def test_a_row_that_the_lake_has_no_place_for_cannot_be_released(pipeline, bars_csv, release, row, rule) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([GOOD, row]))
    pipeline.ingest(delivery)
    before = versions(pipeline)
    with pytest.raises((SelectionError, NotReleasedError), match=rule):
        release(row_of(delivery, 3))
    assert versions(pipeline) == before


# --- the merge


def test_a_released_row_restates_and_was_known_when_it_was_decided(pipeline, bars_csv, release) -> None:
    first = pipeline.deliver("first.csv", bars_csv([("MSFT", DAY, 10, 11, 9, 10, 100)]))
    second = pipeline.deliver("second.csv", bars_csv([WIDE]), received_at=DECIDED - timedelta(days=2))
    pipeline.ingest(first)
    pipeline.ingest(second)
    assert release(row_of(second, 2)).restated == 1
    (bar,) = pipeline.rows("bars_daily").to_dicts()
    assert (bar["high"], bar["known_at"], bar["batch_id"]) == (40.0, DECIDED, second.batch_id)
    (old,) = pipeline.rows("bars_daily_superseded").to_dicts()
    assert (old["high"], old["superseded_at"], old["superseded_by_batch"]) == (11.0, DECIDED, second.batch_id)


@pytest.mark.slow
@pytest.mark.measured
def test_a_row_of_a_lower_priority_wins_only_where_that_is_overruled(pipeline, bars_csv, release) -> None:
    lean = pipeline.deliver("daily/msft.zip", _lean_zip("20240102 00:00,100000,110000,90000,100000,100"), source="lean")
    pipeline.ingest(lean)
    csv = pipeline.deliver("bars.csv", bars_csv([WIDE, ("MSFT", NEXT, 10, 11, 9, 10, 100)]))
    pipeline.ingest(csv)
    before = versions(pipeline)
    with pytest.raises(NotReleasedError, match=r"source_priority .* add --overrule source_priority"):
        release(row_of(csv, 2))
    assert versions(pipeline) == before
    assert release(row_of(csv, 2), overrule=["source_priority"]).restated == 1
    assert closes(pipeline) == [("MSFT", DAY, 10.0), ("MSFT", NEXT, 10.0)]
    assert pipeline.rows("bars_daily").sort("session_date")["high"].to_list() == [40.0, 11.0]
    # Neither file again undoes it, in whatever order they come.
    after = versions(pipeline)
    pipeline.ingest(lean)
    pipeline.ingest(csv)
    pipeline.ingest(lean, csv)
    assert pipeline.rows("bars_daily").sort("session_date")["high"].to_list() == [40.0, 11.0]
    assert versions(pipeline)["bars_daily"] == after["bars_daily"]


# --- duplicates


def test_of_two_conflicting_rows_the_released_one_wins_and_the_other_stays(pipeline, bars_csv, release) -> None:
    delivery = pipeline.deliver(
        "bars.csv", bars_csv([GOOD, ("MSFT", DAY, 10, 11, 9, 10, 100), ("MSFT", DAY, 10, 11, 9, 10.5, 100)])
    )
    assert pipeline.ingest(delivery)["bars_daily"]["quarantined"] == 2
    release(row_of(delivery, 4))
    assert closes(pipeline) == [("AAPL", DAY, 10.0), ("MSFT", DAY, 10.5)]
    held = quarantined(pipeline.lake, "XNYS").filter(pl.col("released_at").is_null())
    assert held.select("row_number", "rule").rows() == [(3, "conflicting_duplicate")]
    before = versions(pipeline)
    figures = pipeline.ingest(delivery)["bars_daily"]
    assert (figures["unchanged"], figures["quarantined"]) == (2, 1)
    assert versions(pipeline) == before


def test_a_later_decision_for_the_other_row_replaces_the_first(pipeline, bars_csv, release) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([("MSFT", DAY, 10, 11, 9, 10, 100), ("MSFT", DAY, 10, 11, 9, 10.5, 100)]))
    pipeline.ingest(delivery)
    release(row_of(delivery, 2))
    done = release(row_of(delivery, 3), at=DECIDED + timedelta(days=1))
    assert (done.restated, closes(pipeline)) == (1, [("MSFT", DAY, 10.5)])
    pipeline.ingest(delivery)
    assert closes(pipeline) == [("MSFT", DAY, 10.5)]


def test_two_rows_of_one_key_cannot_both_win(pipeline, bars_csv, release) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([("MSFT", DAY, 10, 11, 9, 10, 100), ("MSFT", DAY, 10, 11, 9, 10.5, 100)]))
    pipeline.ingest(delivery)
    before = versions(pipeline)
    with pytest.raises(NotReleasedError, match="conflicting_duplicate"):
        release(Selection(rule="conflicting_duplicate", table="bars_daily"))
    assert versions(pipeline) == before


# --- a refused session


def _minutes(prices: list[float]) -> list[tuple[object, ...]]:
    opened = datetime(2024, 1, 3, 9, 30)  # noqa: DTZ001
    return [("ODD", opened + timedelta(minutes=n), p, p * 1.01, p * 0.99, p, 100) for n, p in enumerate(prices)]


SPIKE = _minutes([100.0] * 200 + [10_000.0] + [100.0] * 189)


@pytest.mark.slow
@pytest.mark.measured
def test_a_refused_session_is_let_in_whole_and_stays_in(pipeline, bars_csv, release, gate) -> None:
    delivery = pipeline.deliver("odd.csv", bars_csv(SPIKE))
    assert pipeline.ingest(delivery)["bars_1m"]["quarantined"] == 390
    done = release(Selection(table="bars_1m", rule="session_refused:range_is_possible", session=NEXT))
    assert (done.accepted, done.sessions) == (390, {NEXT: 390})
    before = versions(pipeline)
    figures = pipeline.ingest(delivery)["bars_1m"]
    assert (figures["unchanged"], figures["quarantined"]) == (390, 0)
    assert versions(pipeline) == before


@pytest.mark.slow
@pytest.mark.measured
def test_one_row_of_a_refused_session_is_judged_beside_what_is_stored(pipeline, bars_csv, release, gate) -> None:
    """The price that is possible alone is not so beside the session's others: the gate sees the session as it would become."""
    fine = pipeline.deliver("fine.csv", bars_csv(SPIKE[:200]))
    pipeline.ingest(fine)
    # The row rule holds it, so that the gate has not refused it before.
    spike = (SPIKE[200][0], SPIKE[200][1], 10_000.0, 10_000.0, 10_000.0, 10_000.0, -1)
    bad = pipeline.deliver("bad.csv", bars_csv([spike]))
    pipeline.ingest(bad)
    before = versions(pipeline)
    assert release(row_of(bad, 2)) is None
    assert versions(pipeline) == before


def test_only_the_overruled_expectation_is_excused(pipeline, bars_csv, release, gate) -> None:
    delivery = pipeline.deliver("odd.csv", bars_csv(_minutes([100.0] * 389 + [20_000_000.0])))
    pipeline.ingest(delivery)
    rule = quarantined(pipeline.lake, "XNYS")["rule"].unique().to_list()
    before = versions(pipeline)
    assert release(Selection(rule=rule[0], session=NEXT)) is None
    assert versions(pipeline) == before


# --- wrong input


def test_a_selection_of_several_rules_is_asked_to_choose(pipeline, bars_csv, release) -> None:
    pipeline.ingest(pipeline.deliver("bars.csv", bars_csv([WIDE, ("IBM", DAY, 10, 9, 11, 10, 100)])))
    with pytest.raises(
        SelectionError, match="--table bars_daily --rule high_below_low; --table bars_daily --rule implausible_range"
    ):
        release(Selection(session=DAY))


def test_a_row_that_is_not_in_quarantine_is_said_to_be_absent(pipeline, bars_csv, release) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([GOOD, WIDE]))
    pipeline.ingest(delivery)
    with pytest.raises(SelectionError, match="no row in quarantine is selected"):
        release(row_of(delivery, 2))


def test_a_rule_that_does_not_exist_cannot_be_overruled(pipeline, bars_csv, release) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([WIDE]))
    pipeline.ingest(delivery)
    with pytest.raises(SelectionError, match="no rule is called 'wide'"):
        release(row_of(delivery, 2), overrule=["wide"])


# --- a crash


@pytest.mark.slow
@pytest.mark.measured
def test_a_crash_between_publishing_and_recording_is_made_good_by_the_same_command(
    pipeline, bars_csv, release, monkeypatch
) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([GOOD, WIDE]))
    pipeline.ingest(delivery)

    class KilledError(BaseException):
        pass

    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(release_module, "record", die)
        with pytest.raises(KilledError):
            release(row_of(delivery, 3))
    published = pipeline.table("bars_daily").version()
    assert quarantined(pipeline.lake, "XNYS")["released_at"].to_list() == [None]
    # Between the two commands, the file again does no harm.
    pipeline.ingest(delivery)
    done = release(row_of(delivery, 3), at=DECIDED + timedelta(hours=1))
    assert (done.accepted, done.unchanged, pipeline.table("bars_daily").version()) == (0, 1, published)
    assert quarantined(pipeline.lake, "XNYS")["released_at"].null_count() == 0


def test_the_rows_of_an_ordinary_delivery_overrule_nothing(pipeline, bars_csv) -> None:
    order = pipeline.order(pipeline.deliver("bars.csv", bars_csv([GOOD])))
    folder = stage_request(pipeline.lake, order, load_sources(), pipeline.settings.state_dir, pipeline.limits)
    assert read_batch(folder, "bars_daily")["overrules"].to_list() == [None]


def _lean_zip(text: str) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        archive.writestr("msft.csv", text + "\n")
    return out.getvalue()


def test_an_order_without_decision_keeps_its_id(pipeline, bars_csv) -> None:
    order = pipeline.order(pipeline.deliver("bars.csv", bars_csv([GOOD])))
    assert replace(order, decision=None).request_id == order.request_id
