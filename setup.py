"""What `pyproject.toml` cannot say: the folders beside the package that a wheel carries inside it, under `pipelines/_shipped/`.

Lives here: copying them at build time. Does not live here: metadata, dependencies, data files of the package (pyproject.toml);
finding the copies at run time (`pipelines/package_data.py`).
"""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("dbt_project", "expectations", "requirements.lock", "workspace.yaml")
MADE_BY_RUNS = {"__pycache__", "target", "logs"}


class BuildWithShipped(build_py):
    """`build_py` that also copies `SHIPPED`. An editable install reads them beside the package instead."""

    def run(self) -> None:
        """Build the package, then copy the shipped files into it."""
        super().run()
        if self.editable_mode:
            return
        for source, target in self._shipped():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target, preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Files that the build makes, the shipped ones among them."""
        return [*super().get_outputs(include_bytecode), *(target for _, target in self._shipped())]

    def get_source_files(self) -> list[str]:
        """Files that the build reads: what a source distribution must hold."""
        return [*super().get_source_files(), *(source for source, _ in self._shipped())]

    def _shipped(self) -> list[tuple[str, str]]:
        files = [path for name in SHIPPED for path in (Path(name).rglob("*") if Path(name).is_dir() else [Path(name)])]
        home = Path(self.build_lib) / "pipelines" / "_shipped"
        return [(str(path), str(home / path)) for path in sorted(files) if path.is_file() and _wanted(path)]


def _wanted(path: Path) -> bool:
    return not any(part in MADE_BY_RUNS or part.startswith(".") for part in path.parts)


setup(cmdclass={"build_py": BuildWithShipped})
