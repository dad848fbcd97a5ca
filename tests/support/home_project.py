"""The dbt project as it ships, for tests that need no home's own scanners."""

from pathlib import Path

from pipelines.scanners.project import HomeProject


def shipped_project(state_dir: Path) -> HomeProject:
    """Nothing is added, and every choice is the default; `state_dir` holds what is compiled."""
    return HomeProject(state_dir, None, None, None, 10_000_000.0, "withhold")
