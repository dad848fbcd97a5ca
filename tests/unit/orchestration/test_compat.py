"""What is replaced of Dagster answers as Dagster does, and is still what Dagster asks."""

import inspect
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.definitions.partitions.definition import time_window
from dagster._core.definitions.partitions.definition.partitions_definition import PartitionsDefinition
from dagster._core.definitions.partitions.snap import PartitionsSnap

from pipelines.orchestration import compat
from pipelines.orchestration.partitions import session_partitions


def as_webserver_sees(mic: str) -> dg.TimeWindowPartitionsDefinition:
    remote = PartitionsSnap.from_def(session_partitions(mic)).get_partitions_definition()
    assert isinstance(remote, dg.TimeWindowPartitionsDefinition)
    return remote


def test_sessions_stay_and_closed_days_go() -> None:
    # Independence Day of 2024 was a Thursday; the fifth was a session, the sixth a Saturday.
    asked = {"2024-07-03", "2024-07-04", "2024-07-05", "2024-07-06", "no date"}
    remote = as_webserver_sees("XNYS")
    assert remote.filter_valid_partition_keys(asked) == {"2024-07-03", "2024-07-05"}
    assert PartitionsDefinition.filter_valid_partition_keys(remote, asked) == {"2024-07-03", "2024-07-05"}


@pytest.mark.parametrize("mic", ["XNYS", "XNSE"])
def test_keys_are_those_that_dagster_walks_to_whatever_day_it_is(mic: str) -> None:
    remote = as_webserver_sees(mic)
    for today in (datetime(2024, 7, 5, 12, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC), datetime(2024, 7, 5, 13, tzinfo=UTC)):
        assert remote.get_partition_keys(today) == compat._original_keys(remote, today)


def test_a_list_that_was_given_out_may_be_changed() -> None:
    remote = as_webserver_sees("XNYS")
    before = len(remote.get_partition_keys())
    list.clear(remote.get_partition_keys())  # type: ignore[arg-type]
    assert len(remote.get_partition_keys()) == before


def test_equal_partitions_have_equal_hashes_and_other_exchanges_others() -> None:
    assert as_webserver_sees("XNYS") == as_webserver_sees("XNYS")
    assert hash(as_webserver_sees("XNYS")) == hash(as_webserver_sees("XNYS"))
    assert len({hash(as_webserver_sees(mic)) for mic in ("XNYS", "XNSE", "XLON")}) == 3


def test_dagster_still_hashes_the_whole_text_and_walks_for_keys() -> None:
    """Where these fail Dagster has changed: see whether the replacement is needed still, and whether it fits."""
    source = inspect.getsource(time_window)
    assert "return hash(tuple(self.__repr__()))" in source
    assert "for time_window in self._iterate_time_windows" in inspect.getsource(compat._original_keys)
    assert "filter_valid_partition_keys" not in source
