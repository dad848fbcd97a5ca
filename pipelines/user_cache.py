"""Where caches of the operating system's user lie: of what is worked out once per machine and is the same for every home.

Lives here: `user_cache`, by the XDG convention.
Does not live here: what a home is configured with (`settings.py`).
"""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(name: str, variable: str = "") -> Path:
    """The folder of one of this project's caches, or the one that a variable names; it need not exist."""
    if variable and (named := os.environ.get(variable)):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "marketlake" / name
