"""A nightly run without the bars it is for: nothing is materialised or released, the run is red and says what is missing."""

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from pipelines.definitions import build_definitions
from pipelines.market.calendar import calendar
from pipelines.orchestration.instance import open_instance
from pipelines.orchestration.jobs import nightly_job_name
from pipelines.orchestration.nightly_run import nightly
from pipelines.orchestration.runs import JobFailedError, run_job

pytestmark = [pytest.mark.slow, pytest.mark.measured]

FRESHNESS = dg.AssetCheckKey(dg.AssetKey(["XNYS", "bars_daily"]), "freshness")
#: A session of the calendar after every bar of the small market.
MISSING = date(2014, 6, 5)


def row_counts(metadata: Any) -> list[Any]:
    """Rows of the session and of the whole table, as a materialisation shows them under Dagster's names."""
    return [metadata[name].value for name in ("dagster/partition_row_count", "dagster/row_count") if name in metadata]


def days_of(home: Any) -> dict[str, Any]:
    """The session of every row of some tables: one of bars, one of findings, one that calls its session otherwise."""
    columns = {"indicators_daily": "session_date", "scanner_runs": "session_date", "data_quality_metrics": "date"}
    return {name: home.rows(name).get_column(column) for name, column in columns.items()}


def recorded(home: Any) -> dict[str, list[Any]]:
    """What Dagster's event log holds of the home's last run: its status, materialised (asset, session), checks and failures."""
    with open_instance(home.settings) as instance:
        run = instance.get_runs(limit=1)[0]
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    made = [e.step_materialization_data.materialization for e in events if e.is_step_materialization]
    return {
        "status": run.status,
        "materialised": [(m.asset_key.path[-1], m.partition) for m in made],
        "rows": {(m.asset_key.path[-1], m.partition): row_counts(m.metadata) for m in made},
        "checks": [e.asset_check_evaluation_data for e in events if e.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION],
    }


def freshness_of(events: dict[str, list[Any]]) -> Any:
    (found,) = [check for check in events["checks"] if check.asset_check_key == FRESHNESS]
    return found


@pytest.fixture(scope="module")
def empty(new_home: Any) -> Any:
    """A home whose exchange never had a bar, after a nightly run."""
    home = new_home("empty")
    with pytest.raises(JobFailedError) as failed:
        home.nightly()
    home.settings.home.joinpath("told").write_text(str(failed.value))
    return home


def test_an_exchange_without_bars_fails_and_names_the_next_command(empty: Any) -> None:
    told = empty.folder.joinpath("told").read_text()
    assert "XNYS has no bars, so nothing was built and nothing released" in told
    assert "`marketlake ingest PATH --source NAME --exchange XNYS`, then `marketlake nightly --exchange XNYS`" in told


def test_without_bars_nothing_is_materialised_or_released(empty: Any) -> None:
    events = recorded(empty)
    assert events["status"] == dg.DagsterRunStatus.FAILURE
    assert events["materialised"] == []
    assert empty.releases() == []
    assert empty.versions() == {}
    assert not empty.settings.catalogue_link.is_symlink()


def test_without_bars_the_freshness_check_is_red_and_no_other_passes(empty: Any) -> None:
    events = recorded(empty)
    assert [check.asset_check_key for check in events["checks"] if check.passed] == []
    found = freshness_of(events)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "XNYS has no bars; run `marketlake ingest" in found.description


@pytest.mark.parametrize("asset", ["release", "backtest_runs", "scanner_performance", "risk_report", "scoreboard"])
def test_a_single_asset_of_an_exchange_without_bars_cannot_be_materialised(empty: Any, asset: str) -> None:
    from pipelines.definitions import build_definitions

    job = build_definitions(empty.settings).resolve_job_def(nightly_job_name("XNYS"))
    with open_instance(empty.settings) as instance:
        chosen = [dg.AssetKey(["XNYS", asset])]
        result = job.execute_in_process(instance=instance, asset_selection=chosen, raise_on_error=False)
    assert not result.success
    assert result.get_asset_materialization_events() == []
    assert empty.versions() == {}


def test_a_run_for_a_session_that_was_not_delivered_changes_nothing(based_home: Any) -> None:
    home = based_home("absent")
    before, released = home.versions(), home.releases()
    with open_instance(home.settings) as instance:
        result = run_job(
            instance, home.settings, build_definitions(home.settings, "XNYS"), nightly_job_name("XNYS"), "XNYS", [MISSING]
        )
    assert not result.success

    events = recorded(home)
    assert events["materialised"] == []
    found = freshness_of(events)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert f"no bars of {MISSING}" in found.description
    assert "newest session with bars: 2014-06-04" in found.description
    assert (home.versions(), home.releases()) == (before, released)


def test_the_command_for_a_session_that_was_not_delivered_says_so(based_home: Any) -> None:
    home = based_home("asked")
    with pytest.raises(JobFailedError, match=rf"no bars of {MISSING} \(its newest session is 2014-06-04\)"):
        nightly(home.settings, "XNYS", build_definitions, sessions=[MISSING])


def test_a_long_range_is_rebuilt_where_there_are_bars(based_home: Any) -> None:
    """Forty sessions of the base and one that was never delivered: the forty are built, and they alone are recorded."""
    home = based_home("range")
    forty = [s.session_date for s in calendar("XNYS").between(date(2014, 1, 1), date(2014, 6, 4))][-40:]
    assert nightly(home.settings, "XNYS", build_definitions, sessions=[*forty, MISSING]).success
    with open_instance(home.settings) as instance:
        made = instance.get_materialized_partitions(dg.AssetKey(["XNYS", "indicators_daily"]))
    assert made == {str(day) for day in forty}


@pytest.fixture(scope="module")
def two_nights(based_home: Any, tape: Any) -> Any:
    """A night with nothing new, and one after a session that came the evening it closed; the base arrived years after its bars."""
    home = based_home("again")
    released = home.releases()
    first = SimpleNamespace(summary=home.nightly(), events=recorded(home), releases=home.releases(), days=days_of(home))
    home.ingest(*tape.delivery(home.folder / "inbound", MISSING), received=datetime(2014, 6, 5, 21, tzinfo=UTC))
    second = SimpleNamespace(summary=home.nightly(), events=recorded(home), releases=home.releases(), days=days_of(home))
    return SimpleNamespace(released=released, first=first, second=second)


def test_a_run_with_nothing_new_stays_green_and_releases_nothing(two_nights: Any) -> None:
    night = two_nights.first
    assert night.summary["new_release"] is False
    assert night.events["status"] == dg.DagsterRunStatus.SUCCESS
    assert night.releases == two_nights.released


def test_tables_without_rows_of_the_session_are_not_materialised_for_it(two_nights: Any) -> None:
    """The base has daily bars alone; of 2014-06-05 there are minutes too."""
    of_minutes = {"indicators_1m", "indicator_state_1m", "intraday_curves", "minute_reconciliation"}
    nothing_new = two_nights.first.events["materialised"]
    assert of_minutes.isdisjoint(name for name, _ in nothing_new)
    assert {("indicators_daily", "2014-06-04"), ("scanner_signals", "2014-06-04"), ("release", None)} <= set(nothing_new)

    made, summary = set(two_nights.second.events["materialised"]), two_nights.second.summary
    assert {(name, str(MISSING)) for name in (*of_minutes, "indicators_daily")} <= made
    assert summary["new_release"] is True
    assert summary["new"].sessions == (MISSING,)


def test_a_session_shows_its_own_rows_and_those_of_its_table_whether_built_or_not(two_nights: Any) -> None:
    for night, session in ((two_nights.first, date(2014, 6, 4)), (two_nights.second, MISSING)):
        for name, days in night.days.items():
            assert night.events["rows"][name, str(session)] == [(days == session).sum(), days.len()], (name, session)
    assert two_nights.second.days["indicators_daily"].len() > two_nights.first.days["indicators_daily"].len() > 0


def test_a_check_that_did_not_run_has_no_result_and_runs_when_there_is_something_to_check(two_nights: Any) -> None:
    """In a night with nothing new dbt is not called and nothing is built, so that freshness is all there is to judge."""
    quiet, busy = (
        {(check.asset_key.path[-1], check.check_name) for check in night.events["checks"]}
        for night in (two_nights.first, two_nights.second)
    )
    assert quiet == {("bars_daily", "freshness")}
    of_dbt = {name for asset, name in busy if asset == "indicators_daily"} - {"look_ahead"}
    assert of_dbt
    assert {("price_flags", "prices_look_right"), ("minute_reconciliation", "minutes_agree_with_daily")} <= busy


def test_history_warns_and_a_feed_that_stopped_is_red(two_nights: Any) -> None:
    """Bars that arrived years late are history. A session that came the evening it closed makes the exchange one in use."""
    history = freshness_of(two_nights.first.events)
    assert (history.passed, history.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "history" in history.description

    stopped = freshness_of(two_nights.second.events)
    assert (stopped.passed, stopped.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "newest session with bars: 2014-06-05" in stopped.description
    failed = two_nights.second.summary["checks_failed"]
    assert [line for line in failed if line.startswith("XNYS/bars_daily freshness")]
