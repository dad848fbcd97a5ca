"""A data engineer materialises one session from the page and sees it done."""

import re

import pytest

pytest.importorskip("playwright", reason="the playwright package is not installed")

from playwright.sync_api import Page, expect

SESSION = "2021-04-05"
#: A run is queued, takes a process of its own, and may build: minutes on a busy machine.
RUN = 300_000


@pytest.mark.parametrize("job", ["XNYS_ingest", "XNYS_nightly"])
def test_one_session_is_materialised_from_the_page(job: str, page: Page) -> None:
    """Ingest replays the session's raw files; nightly builds what that delivery brought, up to the release."""
    page.goto("/jobs")
    page.get_by_text(job, exact=True).first.click()
    page.get_by_role("button", name=re.compile("Materialize all")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Show all partitions").click()
    dates = dialog.get_by_role("textbox").first
    dates.fill(SESSION)
    dates.press("Enter")
    expect(dialog.get_by_text("1 partition", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Launch 1 run").click()
    expect(dialog).to_be_hidden(timeout=RUN)
    page.goto(f"/runs?q%5B0%5D=job%3A{job}&q%5B1%5D=tag%3Adagster%2Fpartition%3D{SESSION}")
    expect(page.get_by_text(f"partition: {SESSION}")).to_have_count(1)
    expect(page.get_by_text(re.compile("^(Success|Failure)$"))).to_be_visible(timeout=RUN)
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
