"""Tables of other people's figures.

Lives here: `read_table`.
Does not live here: where they lie (the fixture `shared` in `tests/conftest.py`), what is held against them (`tests/reference/`).
"""

import csv
from pathlib import Path


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column."""
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return list(csv.DictReader(lines))
