"""Remake the pictures of the documents from a running UI: `python tests/ui/screenshots.py http://127.0.0.1:3000`.

Lives here: which pages are pictured, and how. The home should hold the demo (`marketlake demo`, exchange XNYS alone).
With `--two` after the address only the graph of a home of two exchanges is pictured.
Does not live here: what must be on these pages (`test_pages.py`).
"""

import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
ARGUMENTS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync"


def main(address: str, *, two: bool = False) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS.split())
        if two:
            page = new_page(browser, address, 1700, 1000)
            page.goto("/asset-groups")
            page.get_by_text("XNYS_scanners").first.wait_for()
            save(page, "graph_two_exchanges", clip={"x": 560, "y": 345, "width": 1098, "height": 345})
            browser.close()
            return
        picture_graph(new_page(browser, address, 1700, 1000))
        page = new_page(browser, address, 1500, 900)
        page.goto("/assets/XNYS/scanner_signals?view=lineage")
        page.get_by_text("Materialized").nth(1).wait_for()
        save(page, "lineage")
        page.goto("/assets/XNYS/risk_report")
        page.get_by_role("row", name=re.compile("^equity ")).get_by_text("Show Markdown").click()
        page.get_by_role("img", name="equity and drawdown").wait_for()
        save(page, "risk_report")
        page.goto("/assets/XNYS/staged_bars_1m?view=checks&checkDetail=gate_bars_1m")
        page.get_by_text("Execution history").click()
        page.get_by_text(re.compile("all expectations hold|refused")).first.wait_for()
        save(page, "gate")
        browser.close()


def picture_graph(page: Page) -> None:
    page.goto("/asset-groups")
    page.get_by_text("scanners").first.wait_for()
    save(page, "graph", clip={"x": 545, "y": 430, "width": 1140, "height": 190})


def new_page(browser: Browser, address: str, width: int, height: int) -> Page:
    context = browser.new_context(viewport={"width": width, "height": height}, base_url=address)
    page = context.new_page()
    page.set_default_timeout(60_000)
    return page


def save(page: Page, name: str, **options: object) -> None:
    # Figures in the nodes arrive after the nodes; the page polls, so it never falls silent.
    page.wait_for_timeout(6_000)
    page.screenshot(path=IMAGES / f"{name}.png", **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1], two="--two" in sys.argv)
