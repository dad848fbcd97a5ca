"""How findings put names into a sentence.

Lives here: `listed`.
Does not live here: findings (the checks).
"""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 5


def listed(names: Sequence[str]) -> str:
    """The first names, cut to 60 letters and quoted where they are odd, and how many more there are."""
    cut = (name[:60] for name in names[:_SHOWN])
    shown = ", ".join(repr(name) if not name.isprintable() or " " in name else name for name in cut)
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
