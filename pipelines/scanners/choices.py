"""What a home chooses about its scans, as one value that is handed down.

Lives here: `ScanChoices`.
Does not live here: reading universes (`universes.py`), what findings do (`finding_effects.py`), where a home states them
(`settings.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.scanners.universes import Universes


@dataclass(frozen=True)
class ScanChoices:
    """universes: the lists that there are to look at. finding_effects: what findings do to signals, as `lake.finding_effects`."""

    universes: Universes
    finding_effects: pl.DataFrame
