"""Remake the pictures of the documents: `python -m tests.ui.screenshots HOME`, or `make screenshots` on this home.

Lives here: which pages are pictured, and how. The home holds the demo (`marketlake demo`, exchange XNYS alone); it needs chromium.
Does not live here: what must be on these pages (`test_pages.py`), starting the UI (`tests/support/dagster_ui.py`).
"""

import re
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipelines.reports.file_names import report_name, scoreboard_name
from tests.support.dagster_ui import BROWSER_ARGUMENTS, CHROMIUM, running_ui

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
GROUPS = ("sources", "lake", "build_inputs", "indicators", "scan_inputs", "scanners", "marts", "research", "release", "live")
#: Colours of a picture: text stays sharp, and a page takes 30 to 100 kB.
_COLOURS = 128


def main(home: Path) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGUMENTS)
        with running_ui(home) as address:
            picture_stages(new_page(browser, address, 1700, 1000))
            picture_groups(new_page(browser, address, 1500, 900))
            picture_assets(new_page(browser, address, 1500, 900))
        with running_ui(home, "XNSE,XNYS") as address:
            page = new_page(browser, address, 1700, 1000)
            page.goto("/asset-groups")
            page.get_by_text("XNYS_scanners").first.wait_for()
            save(page, "graph_two_exchanges")
        picture_reports(browser, home / "reports")
        browser.close()


def picture_stages(page: Page) -> None:
    page.goto("/asset-groups")
    page.get_by_text("scanners").first.wait_for()
    save(page, "graph", clip={"x": 545, "y": 350, "width": 1140, "height": 300})


def picture_groups(page: Page) -> None:
    for group in GROUPS:
        page.goto(f"/locations/__repository__@marketlake/asset-groups/{group}")
        page.get_by_text(group).first.wait_for()
        save(page, f"group_{group}")


def picture_assets(page: Page) -> None:
    page.goto("/assets/XNYS/scanner_signals")
    expect(page.get_by_text("Signals of every scanner").first).to_be_visible()
    save(page, "asset")
    page.goto("/assets/XNYS/scanner_signals?view=checks")
    expect(page.get_by_text("key_is_unique").first).to_be_visible()
    save(page, "checks")
    page.goto("/assets/XNYS/scanner_signals?view=lineage")
    page.get_by_text("backtest_runs").first.wait_for()
    save(page, "lineage")
    page.goto("/assets/XNYS/risk_report")
    page.get_by_role("row", name=re.compile("^equity ")).get_by_text("Show Markdown").click()
    page.get_by_role("img", name="equity and drawdown").wait_for()
    save(page, "risk_report")
    page.goto("/assets/XNYS/staged_bars_1m?view=checks&checkDetail=gate_bars_1m")
    page.get_by_text("Execution history").click()
    page.get_by_text(re.compile("all expectations hold|refused")).first.wait_for()
    save(page, "gate")


def picture_reports(browser: Browser, folder: Path) -> None:
    """The pages of the demo as files, as somebody would open one that was mailed."""
    report, board = folder / report_name("XNYS", "breakout_20d"), folder / scoreboard_name("XNYS")
    pictures = (
        ("report", report, "light", 1400, 900, "header"),
        ("report_prices", report, "dark", 1400, 900, "#prices"),
        ("report_narrow", report, "light", 400, 860, "header"),
        ("scoreboard", board, "light", 1400, 900, "header"),
    )
    for name, file, scheme, width, height, top in pictures:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
        page = context.new_page()
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        page.locator(top).evaluate("section => section.scrollIntoView()")
        save(page, name)
        context.close()


def new_page(browser: Browser, address: str, width: int, height: int) -> Page:
    page = browser.new_context(viewport={"width": width, "height": height}, base_url=address).new_page()
    page.set_default_timeout(120_000)
    return page


def save(page: Page, name: str, **options: object) -> None:
    # Figures in the nodes arrive after the nodes; the page polls, so it never falls silent.
    page.wait_for_timeout(6_000)
    shot = Image.open(BytesIO(page.screenshot(**options)))  # type: ignore[arg-type]
    shot.convert("RGB").quantize(_COLOURS).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
