"""The example of the guide works as printed."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from pipelines.sources.protocol import ParseOptions, RawFile, Source, SourceError


def example() -> Source:
    guide = Path(__file__).parents[3] / "docs" / "how-to-add-a-source.md"
    (code,) = re.findall(r"```python\n(.*?)```", guide.read_text(), flags=re.DOTALL)
    space: dict[str, object] = {}
    exec(compile(code, str(guide), "exec"), space)
    made = space["BlanksSource"]()  # type: ignore[operator]
    assert isinstance(made, Source)
    return made


def test_the_guide_s_source_reads_rows_and_names_what_it_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "x.blanks"
    path.write_text("2024-01-02 ACME 10.5 11 10 10.75 1200\n2024-01-03 ACME 10.5 11 ten 10.75 1200\n2024-01-04 ACME 1\n")
    (table,) = example().parse(RawFile(path, "x.blanks", ""), ParseOptions("XNYS"))
    assert table.frame.select("symbol", "session_date", "close", "volume").row(0) == ("ACME", date(2024, 1, 2), 10.75, 1200.0)
    assert table.frame["parse_problem"].to_list()[:2] == [None, "low: 'ten' is not a number"]
    assert table.frame["parse_problem"][2].startswith("line: 3 fields where 7")


def test_the_guide_s_source_refuses_another_layout(tmp_path: Path) -> None:
    path = tmp_path / "x.blanks"
    path.write_text("a,b\n")
    with pytest.raises(SourceError, match="no line has 7 fields"):
        example().parse(RawFile(path, "x.blanks", ""), ParseOptions("XNYS"))
