"""How kernels are compiled: the decorator all of them use, and where the compiled code is kept.

Not here: any formula.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

from pipelines.user_cache import user_cache


def cache_dir() -> Path:
    """Return the folder of compiled kernels: `NUMBA_CACHE_DIR`, else the user's cache folder, plus a hash of the sources.

    numba itself only watches the file of the function it compiles; a helper or a parameter changed in another file would
    leave stale machine code behind. The hash over everything a kernel is compiled from closes that hole.
    """
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for source in (*sorted((package / "kernels").glob("*.py")), *(package / name for name in ("frame.py", "parameters.py"))):
        digest.update(source.read_bytes())
    return user_cache("numba", "NUMBA_CACHE_DIR") / digest.hexdigest()[:16]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function with numba: cached on disk, without the interpreter lock, strictly IEEE (no fast-math).

    Strict arithmetic is what makes an incremental run equal a full one bit for bit, on every processor.
    """
    compiled: Callable[..., Any] = njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function)
    return compiled


config.CACHE_DIR = str(cache_dir())  # type: ignore[attr-defined]  # numba adds its settings at run time
