"""Files that ship with the code: dbt project, GX suites, lock; and the version of all of it.

Lives here: finding them in a checkout and in an installed wheel, and `code_version()`.
Does not live here: user data and settings (`settings.py`), bundled market data (`bundled/`), building a wheel (`setup.py` of the
checkout).
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from pipelines import __version__

#: The folder of this package.
PACKAGE = Path(__file__).parent
_COUNTED = {".py", ".sql", ".yml", ".json", ".csv", ".j2", ".js", ".css"}
_NOT_COUNTED = {"__pycache__", "target", "logs", "bundled", "_shipped"}


def shipped(name: str, package: Path = PACKAGE) -> Path:
    """Folder or file `name` (dbt_project, expectations, requirements.lock): inside the package in a wheel, beside it in a checkout.

    `package`: that of another installation. Raises FileNotFoundError when the installation is incomplete.
    """
    # A wheel looks only inside itself: another distribution may have put a folder of that name beside the package.
    inside = package / "_shipped"
    found = (inside if inside.is_dir() else package.parent) / name
    if not found.exists():
        raise FileNotFoundError(f"the installation lacks {name} (looked for {found}): reinstall marketlake")
    return found


@cache
def code_version(package: Path = PACKAGE) -> str:
    """Distribution version plus a hash of the code, the dbt project, the suites and the lock: what a result depends on.

    The same in a checkout and in the wheel built from it: names are hashed relative to their root, never where the root lies.
    `package`: that of another installation.
    """
    digest = hashlib.sha256()
    for name, root in (("pipelines", package), *((name, shipped(name, package)) for name in ("dbt_project", "expectations"))):
        counted = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        for path in sorted(path.as_posix() for path in counted if _counts(path)):
            _add(digest, f"{name}/{path}", root / path)
    _add(digest, "requirements.lock", shipped("requirements.lock", package))
    return f"{__version__}+{digest.hexdigest()[:12]}"


def _counts(path: Path) -> bool:
    made_or_hidden = any(part in _NOT_COUNTED or part.startswith(".") for part in path.parts)
    return not made_or_hidden and path.suffix in _COUNTED


def _add(digest: hashlib._Hash, name: str, file: Path) -> None:
    content = file.read_bytes()
    digest.update(f"{name}\0{len(content)}\0".encode())
    digest.update(content)
