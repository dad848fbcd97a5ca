"""The index of a home's reports: every page of the folder, with its verdict where it has one.

Lives here: `write_index`, `find_reports`. Does not live here: the pages themselves, serving them (`cli/report_server.py`).

What stands on it is read from the pages' own heads, so that it knows no other state than the folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from pipelines.reports.file_names import INDEX
from pipelines.reports.pages import render_page, write_page

#: A page's title and verdict stand before its style.
_HEAD = 4096
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
_RUN = re.compile(r'<meta name="marketlake-run" content="(.*?)">')
_VERDICT = re.compile(r'<meta name="marketlake-verdict" content="(.*?)">', re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A page: its file's name, its title, the run that it is of and the sentence of its verdict; empty where it has none."""

    name: str
    title: str
    run_id: str
    verdict: str


def write_index(folder: Path) -> Path:
    """Write the index of a folder of reports; left alone where it says the same already."""
    path = folder / INDEX
    entries = find_reports(folder)
    # Scoreboards first, then the nightly reports, then what somebody asked for.
    ordered = sorted(entries, key=lambda entry: (not entry.name.endswith("_scoreboard.html"), bool(entry.verdict), entry.title))
    write_page(path, render_page("index.html.j2", entries=ordered))
    return path


def find_reports(folder: Path) -> list[Entry]:
    """The pages of a folder by name, but for the index."""
    return [entry for file in sorted(folder.glob("*.html")) if file.name != INDEX and (entry := _entry(file)) is not None]


def _entry(file: Path) -> Entry | None:
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError:
        # Replaced or removed by another run since the folder was listed.
        return None
    title, run_id, verdict = (pattern.search(head) for pattern in (_TITLE, _RUN, _VERDICT))
    return Entry(
        file.name,
        unescape(title[1]).strip() if title else file.name,
        run_id[1] if run_id else "",
        unescape(verdict[1]) if verdict else "",
    )
