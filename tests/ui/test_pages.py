"""What a data engineer does on the pages and sees there: a session materialised, a file named in the launchpad, all stages, tables
with their figures, and a refusal with its reason. One file, since every worker of pytest would start a UI of its own.
"""

import re

import pytest

pytest.importorskip("playwright", reason="the playwright package is not installed")

from playwright.sync_api import Locator, Page, expect

SESSION = "2021-04-05"
#: A run is queued, takes a process of its own, and may build: minutes on a busy machine.
RUN = 600_000
STAGES = ("sources", "lake", "build_inputs", "indicators", "scan_inputs", "scanners", "marts", "research", "release", "live")
LONG = 120_000
RUN_LINK = "a[href*='/runs/']"


def shown(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_text(text).first).to_be_visible(timeout=LONG)


def opened(page: Page, address: str, text: str) -> Locator:
    """The first place with this text on the page, which is loaded again where it does not come: of a question that failed on a busy
    machine the page never asks again. What it shows instead is told.
    """
    for _ in range(3):
        page.goto(address)
        found = page.get_by_text(text).first
        try:
            expect(found).to_be_visible(timeout=LONG)
        except AssertionError:
            there = page.locator("body").inner_text()
        else:
            return found
    raise AssertionError(f"{address} never shows {text!r}; it shows:\n{there}")


def materialise(page: Page, job: str) -> None:
    """Press Materialize all on the job's page and choose the one session."""
    page.goto("/jobs")
    page.get_by_text(job, exact=True).first.click()
    page.get_by_role("button", name=re.compile("Materialize all")).click()
    dialog = page.get_by_role("dialog")
    confirm, partitions = dialog.get_by_role("button", name="Confirm"), dialog.get_by_text("Show all partitions")
    # Dagster asks first where a table behind the job's has never had a row, as that of other series.
    expect(confirm.or_(partitions)).to_be_visible()
    if confirm.is_visible():
        confirm.click()
    partitions.click()
    dates = dialog.get_by_role("textbox").first
    dates.fill(SESSION)
    dates.press("Enter")
    expect(dialog.get_by_text("1 partition", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Launch 1 run").click()
    expect(dialog).to_be_hidden(timeout=RUN)


def succeeded(page: Page, job: str, partition: str, runs: int) -> None:
    """All of that many runs of the job and partition ended well."""
    page.goto(f"/runs?q%5B0%5D=job%3A{job}&q%5B1%5D=tag%3Adagster%2Fpartition%3D{partition}")
    expect(page.get_by_text(f"partition: {partition}")).to_have_count(runs)
    expect(page.get_by_text(re.compile("^(Success|Failure)$"))).to_have_count(runs, timeout=RUN)
    expect(page.get_by_text("Success", exact=True)).to_have_count(runs)


@pytest.mark.parametrize("job", ["XNYS_ingest", "XNYS_nightly"])
def test_one_session_is_materialised_from_the_page(job: str, page: Page) -> None:
    """Ingest replays the session's raw files; nightly builds what that delivery brought, up to the release."""
    materialise(page, job)
    succeeded(page, job, SESSION, 1)


def test_a_session_is_built_again_though_nothing_of_it_changed(page: Page) -> None:
    """The second nightly run of the same session finds nothing new, and computes the session all the same."""
    materialise(page, "XNYS_nightly")
    succeeded(page, "XNYS_nightly", SESSION, 2)
    page.goto(f"/assets/XNYS/indicators_1m?view=partitions&partition={SESSION}")
    expect(page.get_by_role("row", name=re.compile("^rows 390"))).to_be_visible()
    expect(page.get_by_text(re.compile("[1-9][0-9,]* rows of [1-9][0-9]* sessions built"))).to_be_visible()


def test_a_file_named_in_the_launchpad_goes_in(page: Page) -> None:
    """The launchpad says what to fill in; what lies outside the settings' folders is refused (tests/unit/orchestration)."""
    page.goto("/locations/__repository__@marketlake/jobs/XNYS_ingest/playground")
    expect(page.get_by_text("To ingest files").first).to_be_visible()
    # Any session does for the run to stand under; Enter takes the first of the list.
    page.get_by_placeholder("Partition").click()
    page.keyboard.insert_text("2021-04-12")
    page.wait_for_timeout(3_000)
    page.get_by_placeholder("Partition").press("Enter")
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("ops: {XNYS__raw_files: {config: {paths: [named.csv], source: csv}}}")
    expect(page.get_by_text("No errors")).to_be_visible()
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url(re.compile("/runs/[0-9a-f-]{36}"))
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=RUN)
    page.goto("/assets/XNYS/bars_1m?view=partitions&partition=2021-04-12")
    expect(page.get_by_role("row", name=re.compile("^rows_accepted 390"))).to_be_visible()


def test_the_pipeline_shows_every_stage(page: Page) -> None:
    page.goto("/asset-groups")
    for stage in STAGES:
        shown(page, re.compile(f"^{stage}$"))
    expect(page).to_have_url(re.compile("asset-groups"))


def test_a_lake_table_shows_columns_with_units_and_figures(page: Page) -> None:
    page.goto("/assets/XNYS/bars_daily")
    shown(page, "Daily bars as traded, one row per instrument and session.")
    shown(page, "Units traded within the bar. [shares]")
    for figure in ("delta_version", "rows_accepted", "rows_restated", "whole_run"):
        shown(page, figure)


def test_staged_rows_have_a_preview(page: Page) -> None:
    opened(page, "/assets/XNYS/staged_bars_1m", "Show Markdown").click()
    expect(page.get_by_role("cell", name="XNYS:SPY").first).to_be_visible(timeout=LONG)


def test_the_gate_says_which_session_it_refused_and_why(page: Page) -> None:
    page.goto("/assets/XNYS/staged_bars_1m?view=checks&checkDetail=gate_bars_1m")
    shown(page, "blocking")
    page.get_by_text("Execution history").click()
    shown(page, "refused: 2021-04-09: range_is_possible")
    shown(page, "Failed")
    page.get_by_role("row", name=re.compile("refused: 2021-04-09")).get_by_role("button").last.click()
    shown(page, "sessions_refused")


@pytest.mark.parametrize(
    ("session", "reason"), [("2021-04-06", "out_of_line"), ("2021-04-09", "session_refused:range_is_possible")]
)
def test_the_page_of_a_refused_session_shows_its_own_figures_and_why(page: Page, session: str, reason: str) -> None:
    page.goto(f"/assets/XNYS/staged_bars_1m?view=partitions&partition={session}")
    shown(page, f"bars_1m: {reason}: 390 rows")
    expect(page.get_by_role("row", name=re.compile("^rows_read 390"))).to_be_visible(timeout=LONG)


def test_a_session_that_went_in_shows_its_rows_not_those_of_the_run(page: Page) -> None:
    page.goto("/assets/XNYS/bars_1m?view=partitions&partition=2021-04-07")
    expect(page.get_by_role("row", name=re.compile("^rows_accepted 390"))).to_be_visible(timeout=LONG)


def test_runs_of_the_command_line_stand_on_the_timeline_and_on_their_job(page: Page) -> None:
    page.goto("/overview/activity/timeline")
    for job in ("XNYS_ingest", "XNYS_nightly"):
        shown(page, re.compile(f"^{job}$"))
    page.goto("/locations/__repository__@marketlake/jobs/XNYS_ingest/runs")
    expect(page.locator(RUN_LINK).first).to_be_visible(timeout=LONG)


def test_the_risk_report_has_its_picture_inline(page: Page) -> None:
    page.goto("/assets/XNYS/risk_report")
    page.get_by_role("row", name=re.compile("^equity ")).get_by_text("Show Markdown").click()
    picture = page.get_by_role("img", name="equity and drawdown")
    expect(picture).to_be_visible(timeout=LONG)
    assert picture.evaluate("image => image.naturalWidth") > 300


def test_the_risk_report_opens_from_its_page(page: Page) -> None:
    """Not as a file, which no page of the web may open: at an address of this machine."""
    page.goto("/assets/XNYS/risk_report")
    link = page.get_by_role("link", name=re.compile("XNYS_breakout_20d_risk.html")).first
    with page.context.expect_page() as opened:
        link.click()
    expect(opened.value.get_by_role("heading").first).to_be_visible()
    assert opened.value.url.startswith("http://127.0.0.1:")
    assert opened.value.title().startswith("Risk report")


def test_no_dialog_greets_a_first_visit(page: Page) -> None:
    page.goto("/assets/XNYS/bars_daily")
    shown(page, "Daily bars as traded, one row per instrument and session.")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_schedule_sensor_and_jobs_are_named(page: Page) -> None:
    page.goto("/automation")
    shown(page, "XNYS_nightly_schedule")
    shown(page, "XNYS_live_inbox")
    page.goto("/jobs")
    for job in ("XNYS_ingest", "XNYS_nightly", "XNYS_live_scan"):
        shown(page, job)


def test_the_backtest_stands_on_signals_bars_and_actions_and_leads_to_the_report(page: Page) -> None:
    page.goto("/assets/XNYS/backtest_runs?view=lineage")
    for neighbour in ("scanner_signals", "bars_daily", "corporate_actions", "backtest_runs", "risk_report"):
        shown(page, re.compile(f"^{neighbour}$"))


def test_a_model_is_described_in_words_not_by_its_sql(page: Page) -> None:
    page.goto("/assets/XNYS/indicators_daily")
    shown(page, "Indicators of daily bars, each row in the price basis of its own session.")
    expect(page.get_by_text("Raw SQL")).to_have_count(0)
    page.goto("/assets/XNYS/scanners/breakout_20d")
    shown(page, "Twenty-day breakout on volume.")
    shown(page, "breakout_20d.sql")
