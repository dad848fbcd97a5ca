"""A data engineer materialises one session from the page and sees it done; so too a file that is named in the launchpad."""

import re

import pytest

pytest.importorskip("playwright", reason="the playwright package is not installed")

from playwright.sync_api import Page, expect

SESSION = "2021-04-05"
#: A run is queued, takes a process of its own, and may build: minutes on a busy machine.
RUN = 300_000


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
