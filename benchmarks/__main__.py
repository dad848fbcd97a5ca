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

from benchmarks import build, kernels, parquet
from benchmarks.tables import Table

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side by side with peers, as ratios.")
    parser.add_argument(
        "--full", action="store_true", help="build all 67,500,000 one-minute rows, not a twentieth (needs 15 GB of disk)"
    )
    parser.add_argument("--only", choices=("kernels", "parquet", "build"), action="append", help="one question (may be repeated)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--date", help="date of the run, for the page")
    parser.add_argument("--remark", default="", help="what else the machine was doing, for the page")
    asked = parser.parse_args()
    if asked.write and not asked.date:
        parser.error("--write needs --date YYYY-MM-DD")
    questions: dict[str, Callable[[], Table]] = {
        "kernels": kernels.run,
        "parquet": parquet.run,
        "build": partial(build.run, full=asked.full),
    }
    written = []
    for name, question in questions.items():
        if asked.only and name not in asked.only:
            continue
        text = question().markdown()
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        written.append(text)
    if asked.write:
        PAGE.write_text("\n".join([_head(asked.date, asked.remark), *written]), encoding="utf-8")


def _head(date: str, remark: str) -> str:
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"""# Benchmarks

Written by `make bench` (`python -m benchmarks --write --date …`) on {date}: {machine}. {remark}

Tasks of a table take turns; a ratio is that of their medians, with the smallest and greatest of the rounds behind it. Ratios are
what to read: absolute times are those of this machine on this day. Within ± 10 % counts as equal. "To beat" is the design's target.
"""


if __name__ == "__main__":
    main()
