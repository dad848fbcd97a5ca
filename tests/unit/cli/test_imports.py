"""What a start need not wait for: libraries that only some step needs are imported when it comes, in a process of its own here."""

import subprocess
import sys

import pytest

_EMPTY = "from pipelines.storage.delta import empty_frame; from pipelines.market.tables.bars import BARS_1M; empty_frame(BARS_1M)"


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize(
    ("code", "late"),
    [
        ("import pipelines.definitions", {"numba", "pandas", "scipy", "empyrical", "great_expectations"}),
        ("import pipelines.cli.scan_run", {"dagster", "dbt", "numba", "pandas", "sqlglot", "scipy"}),
        ("import pipelines.orchestration.night_record", {"dagster", "dbt", "numba", "pandas", "sqlglot", "scipy", "bokeh"}),
        ("import pipelines.cli.sql", {"dagster", "numba", "pandas", "sqlglot"}),
        ("import pipelines.reports.run_reports", {"dagster", "numba", "pandas", "scipy", "empyrical", "arch", "jinja2"}),
        (_EMPTY, {"dagster", "numba", "pandas"}),
    ],
)
def test_libraries_of_later_steps_are_not_imported(code: str, late: set[str]) -> None:
    script = f"import sys; {code}; print(sorted(set({sorted(late)!r}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
