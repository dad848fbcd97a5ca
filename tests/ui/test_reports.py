"""Reports in a real browser, off line: light and dark, wide and narrow, by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dagster_ui import BROWSER_ARGUMENTS, CHROMIUM
from tests.support.report_page import page_of, reported


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reports") / "report.html"
    path.write_text(page_of(reported()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()


def opened(chromium, report: Path, **options):  # type: ignore[no-untyped-def]
    """The report's page, its errors, and what it asked for beside itself."""
    page = chromium.new_context(offline=True, **options).new_page()
    errors, requests = [], []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-ready]")
    return page, errors, requests


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_a_report_draws_itself_without_the_network_and_fits(chromium, report: Path, scheme: str, width: int) -> None:
    page, errors, requests = opened(chromium, report, color_scheme=scheme, viewport={"width": width, "height": 900})
    assert errors == []
    assert requests == [report.as_uri()]
    assert page.evaluate("document.documentElement.dataset.ready") == "5"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(246, 247, 249)") == (scheme == "light")


def test_a_chart_is_read_and_moved_by_keyboard(chromium, report: Path) -> None:
    page, *_ = opened(chromium, report, viewport={"width": 1400, "height": 900})
    plot = page.locator('[data-chart="chart-equity"]')
    day = plot.locator("xpath=..").locator(".legend b")
    last = day.inner_text()
    plot.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    before = day.inner_text()
    assert before < last
    page.keyboard.press("Home")
    assert day.inner_text() < before
    page.keyboard.press("+")
    page.keyboard.press("Escape")
    assert day.inner_text() == last


def test_prices_are_adjusted_and_as_traded_on_demand(chromium, report: Path) -> None:
    page, *_ = opened(chromium, report, viewport={"width": 1400, "height": 900})
    button = page.locator("button[data-basis]")
    plot = button.locator("xpath=../..").locator(".plot")
    legend = plot.locator("xpath=..").locator(".legend")
    plot.focus()
    page.keyboard.press("Home")
    adjusted = legend.inner_text()
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    plot.focus()
    page.keyboard.press("Home")
    assert legend.inner_text() != adjusted


def test_trades_sort_by_a_heading_and_filter_by_words(chromium, report: Path) -> None:
    page, *_ = opened(chromium, report, viewport={"width": 1400, "height": 900})
    profits = "[...document.querySelectorAll('#trades-table tbody tr:not([hidden]) td:last-child')].map(cell => cell.textContent)"

    def shown() -> list[float]:
        return [float(text.replace(",", "").replace("−", "-")) for text in page.evaluate(profits)]

    heading = page.locator("#trades-table th").last
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert (shown(), heading.get_attribute("aria-sort")) == (sorted(shown()), "ascending")
    page.keyboard.press("Enter")
    assert shown() == sorted(shown(), reverse=True)
    every = len(shown())
    page.locator("input[data-filters=trades-table]").fill("A&B")
    assert 0 < len(shown()) < every
    assert page.locator("#trades output").inner_text() == f"{len(shown())} of {every}"
