"""How the functions of the step kernel are compiled, and where the compiled code is kept.

Lives here: the decorator. Does not live here: anything that happens at a bar.

numba's cache notices a change of the compiled function's own file only, and the kernel calls across files. So what it compiles is
kept in a folder named by a hash of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

from pipelines.user_cache import user_cache

_ENGINE = Path(__file__).parent
#: What compiled code is made of beside the modules of this package: records, codes, and the tuples that are handed in.
_LAYOUT = ("layout.py", "rules.py", "state.py")


def cache_dir(engine: Path = _ENGINE) -> Path:
    """Folder of the compiled kernel: `NUMBA_CACHE_DIR`, else the user's cache folder, plus a hash of the sources."""
    digest = hashlib.sha256()
    for source in (*sorted(engine.glob("*.py")), *(engine.parent / name for name in _LAYOUT)):
        digest.update(source.read_bytes())
    return user_cache("numba", "NUMBA_CACHE_DIR") / f"backtest-{digest.hexdigest()[:16]}"


_FOLDER = str(cache_dir())


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of the kernel: cached on disk, strictly IEEE, since a reordered sum would part batch and live."""
    # numba takes the folder from its settings when a function is decorated; other packages keep theirs elsewhere.
    elsewhere = config.CACHE_DIR  # type: ignore[attr-defined]  # numba adds its settings at run time
    config.CACHE_DIR = _FOLDER  # type: ignore[attr-defined]
    try:
        made: Callable[..., Any] = njit(cache=True, fastmath=False, forceinline=True)(function)
    finally:
        config.CACHE_DIR = elsewhere  # type: ignore[attr-defined]
    return made
