"""Files that ship with the code: dbt project, GX suites; and the version of all of it.

Lives here: finding them in a checkout and in an installed wheel, and `code_version()`.
Does not live here: user data and settings (`settings.py`), bundled market data (`bundled/`).
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from pipelines import __version__

_PACKAGE = Path(__file__).parent
_SHIPPED = _PACKAGE / "_shipped"


def shipped(name: str) -> Path:
    """Folder `name` (dbt_project, expectations): beside the package in a checkout, inside it in a wheel.

    Raises FileNotFoundError when the installation is incomplete.
    """
    for candidate in (_PACKAGE.parent / name, _SHIPPED / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the installation lacks {name}/: reinstall marketlake")


@cache
def code_version() -> str:
    """Distribution version plus a hash of the code, the dbt project, the suites and the lock: what a result depends on."""
    digest = hashlib.sha256()
    roots = [_PACKAGE, shipped("dbt_project"), shipped("expectations")]
    for root in roots:
        for path in sorted(p for p in root.rglob("*") if p.is_file() and _counts(p, root)):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    lock = _PACKAGE.parent / "requirements.lock"
    if lock.is_file():
        digest.update(lock.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:12]}"


def _counts(path: Path, root: Path) -> bool:
    relative = path.relative_to(root).parts
    made_by_runs = {"__pycache__", "target", "logs", "bundled", "_shipped"}
    return not made_by_runs.intersection(relative) and path.suffix in {".py", ".sql", ".yml", ".json", ".csv", ".j2"}
