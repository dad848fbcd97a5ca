"""Partitions as the webserver counts them: the same keys, without hashing every closed day for each key."""

import dagster as dg
from dagster._core.definitions.partitions.snap import PartitionsSnap

from pipelines.orchestration.event_log import CountedWindows
from pipelines.orchestration.partitions import session_partitions


def as_webserver_sees(mic: str) -> dg.TimeWindowPartitionsDefinition:
    remote = PartitionsSnap.from_def(session_partitions(mic)).get_partitions_definition()
    assert isinstance(remote, dg.TimeWindowPartitionsDefinition)
    return remote


def test_sessions_stay_and_closed_days_go() -> None:
    counted = CountedWindows.of(as_webserver_sees("XNYS"))
    # Independence Day of 2024 was a Thursday; the fifth was a session, the sixth a Saturday.
    asked = {"2024-07-03", "2024-07-04", "2024-07-05", "2024-07-06", "no date"}
    assert counted is not None
    assert counted.filter_valid_partition_keys(asked) == {"2024-07-03", "2024-07-05"}


def test_identity_is_that_of_the_original_so_that_stored_counts_stay_valid() -> None:
    remote = as_webserver_sees("XNSE")
    counted = CountedWindows.of(remote)
    assert counted is not None
    assert counted.get_serializable_unique_identifier() == remote.get_serializable_unique_identifier()


def test_other_kinds_of_partitions_pass_through() -> None:
    letters = dg.StaticPartitionsDefinition(["a", "b"])
    assert CountedWindows.of(letters) is letters
    assert CountedWindows.of(None) is None
