"""Files of one delivery that tell the same bars at different resolutions.

Lives here: which of them are set aside, as their source states.
Does not live here: rows that contradict each other (`duplicates.py`), the sources' own precedence (`sources/`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.sources.protocol import ChoosingSource, Source
from pipelines.storage.raw import Delivery


def set_aside(deliveries: Sequence[Delivery], sources: Mapping[str, Source]) -> dict[str, str]:
    """Batch → why its file is not read: another file of the same delivery and source has the same bars and goes first."""
    aside: dict[str, str] = {}
    for name in sorted({delivery.source for delivery in deliveries if delivery.source in sources}):
        reader = sources[name]
        if not isinstance(reader, ChoosingSource):
            continue
        together = [delivery for delivery in deliveries if delivery.source == name]
        reasons = reader.set_aside([delivery.name for delivery in together])
        aside |= {delivery.batch_id: reasons[delivery.name] for delivery in together if delivery.name in reasons}
    return aside
