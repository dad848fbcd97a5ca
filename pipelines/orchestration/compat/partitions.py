"""Hash and keys of partitions by time, replaced for their cost; tests hold the results to Dagster's.

Lives here: `quicken_partitions`.
Does not live here: which partitions there are (`orchestration/partitions.py`), the event log (`event_log.py`).

A subclass would not do: the webserver makes plain `TimeWindowPartitionsDefinition`s of what the code server tells it, each with
every closed day of the exchange's history, some 3,000. The event log, which every process of a home loads, has them replaced.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime

import dagster as dg
from dagster._core.instance import DynamicPartitionsStore

_original_keys = dg.TimeWindowPartitionsDefinition.get_partition_keys
#: The last key there was, and all keys up to it.
_known_keys: dict[dg.TimeWindowPartitionsDefinition, tuple[str | None, Sequence[str]]] = {}


def _hash(self: dg.TimeWindowPartitionsDefinition) -> int:
    # Dagster hashes the definition's whole text, closed days included, for each of its caches at each question: 10 ms.
    return hash((self.timezone, self.start_timestamp, self.cron_schedule, len(self.exclusions or ())))


def _get_partition_keys(
    self: dg.TimeWindowPartitionsDefinition,
    current_time: datetime | None = None,
    dynamic_partitions_store: DynamicPartitionsStore | None = None,
) -> Sequence[str]:
    # Dagster walks from the first partition to the last, which takes it half a second. They change once a day.
    with dg.partition_loading_context(current_time, dynamic_partitions_store):
        last = self.get_last_partition_key()
        known = _known_keys.get(self)
        # One value for both, replaced as a whole: threads of the webserver ask at the same time, across midnight too.
        if known is None or known[0] != last:
            known = _known_keys[self] = (last, _original_keys(self))
        return list(known[1])


def _filter_valid_partition_keys(self: dg.TimeWindowPartitionsDefinition, partition_keys: set[str]) -> Set[str]:
    # Dagster asks for each key by itself: a minute of a processor for an asset with a long history, in which every page waits.
    return partition_keys.intersection(self.get_partition_keys())


def quicken_partitions() -> None:
    """Replace hash, keys and validation of all partitions by time, in this process, from now on."""
    kind = dg.TimeWindowPartitionsDefinition
    kind.__hash__ = _hash  # type: ignore[method-assign]
    kind.get_partition_keys = _get_partition_keys  # type: ignore[method-assign]
    kind.filter_valid_partition_keys = _filter_valid_partition_keys  # type: ignore[assignment,method-assign]
