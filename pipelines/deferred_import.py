"""Importing a library's part only when something looks into it.

Lives here: `defer_import`. Does not live here: which part, and what is gained (`ingest/suites.py`).
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import LazyLoader, find_spec, module_from_spec


def defer_import(name: str) -> None:
    """Let `from package import part`, by whomever, load the part at the first use of a name in it; one that is loaded stays so.

    By the standard library's LazyLoader. The part is an attribute of its package at once, as after an import; where it is none,
    Python looks at the module to see whether it is complete, and that loads it (as does `import package.part`). Raises
    ModuleNotFoundError where the part does not exist.
    """
    if name in sys.modules:
        return
    package, _, part = name.rpartition(".")
    spec = find_spec(name)
    if not package or spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"no module {name} in a package to import later", name=name)
    spec.loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    setattr(import_module(package), part, module)
