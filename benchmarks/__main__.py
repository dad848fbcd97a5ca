"""`python -m benchmarks`: every question in turn, its table printed; with --write also into docs/benchmarks.md.

Not here: the questions (one module each).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import backtests, build, first_load, ingest, kernels, parquet, product, scanners, ui
from benchmarks.tables import Table

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side by side with peers, as ratios.")
    parser.add_argument(
        "--full",
        action="store_true",
        help="67,500,000 one-minute bars in the questions build and product, not a twentieth (needs 15 GB of disk)",
    )
    known = ("kernels", "parquet", "ingest", "first_load", "build", "scanners", "backtests", "ui", "product")
    parser.add_argument("--only", choices=known, action="append", help="one question (may be repeated)")
    parser.add_argument(
        "--small", action="store_true", help="a small part of the questions ingest, first_load, scanners and product, to try them"
    )
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md; with --only just these tables of it")
    parser.add_argument("--date", help="date of the run, for the page")
    parser.add_argument("--remark", default="", help="what else the machine was doing, for the page")
    asked = parser.parse_args()
    if asked.write and not asked.date:
        parser.error("--write needs --date YYYY-MM-DD")
    questions: dict[str, Callable[[], Table]] = {
        "kernels": kernels.run,
        "parquet": parquet.run,
        "ingest": partial(ingest.run, small=asked.small),
        "first_load": partial(first_load.run, small=asked.small),
        "build": partial(build.run, full=asked.full),
        "scanners": partial(scanners.run, small=asked.small),
        "backtests": backtests.run,
        "ui": ui.run,
        "product": partial(product.run, small=asked.small, full=asked.full),
    }
    written: dict[str, str] = {}
    for name, question in questions.items():
        if asked.only and name not in asked.only:
            continue
        text = question().markdown()
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        written[text.split("\n", 1)[0]] = text
    if asked.write:
        page = _replaced(PAGE.read_text(encoding="utf-8"), written)
        if not asked.only:
            # Tables that no question writes stay: they were measured by hand.
            page = _head(asked.date, asked.remark) + page[page.index("\n## ") :]
        PAGE.write_text(page, encoding="utf-8")


def _replaced(page: str, written: dict[str, str]) -> str:
    """The page with some of its tables anew; one that it does not have yet comes last."""
    head, *tables = page.rstrip("\n").split("\n## ")
    kept = {f"## {table}".split("\n", 1)[0]: f"## {table}".rstrip("\n") + "\n" for table in tables}
    return "\n".join([head.rstrip("\n") + "\n", *(kept | written).values()])


def _head(date: str, remark: str) -> str:
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"""# Benchmarks

Written by `make bench` (`python -m benchmarks --write --date …`) on {date}: {machine}. {remark}

Tasks of a table take turns; a ratio is that of their medians, with the smallest and greatest of the rounds behind it. Ratios are
what to read: absolute times are those of this machine on this day. Within ± 10 % counts as equal. "To beat" is the design's target.
"""


if __name__ == "__main__":
    main()
