"""What is replaced of Dagster answers as Dagster does, and is still what Dagster asks; `docs/upgrades.md` lists these tests."""

import ast
import inspect
import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.partitions.definition import time_window
from dagster._core.definitions.partitions.definition.partitions_definition import PartitionsDefinition
from dagster._core.definitions.partitions.snap import PartitionsSnap
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from dagster_dbt import DbtCliInvocation, DbtCliResource

from pipelines.orchestration import event_log
from pipelines.orchestration.compat import partitions
from pipelines.orchestration.compat.dbt_resource import InstalledDbt
from pipelines.orchestration.compat.event_log import SessionEventLog
from pipelines.orchestration.home_config import prepare_home
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
        assert remote.get_partition_keys(today) == partitions._original_keys(remote, today)


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
    assert "for time_window in self._iterate_time_windows" in inspect.getsource(partitions._original_keys)
    assert "filter_valid_partition_keys" not in source


def test_what_a_run_spares_dagster_dbt_is_still_a_part_of_it() -> None:
    """Under another name the work would be done again, unseen; an adapter that is None must stay what Dagster expects of one."""
    spared = {"_cli_version", "_initialize_dbt_core_adapter"}
    assert spared <= set(vars(InstalledDbt))
    assert spared <= set(vars(DbtCliResource))
    (adapter,) = [field for field in fields(DbtCliInvocation) if field.name == "adapter"]
    assert str(adapter.type).endswith("BaseAdapter | None")


def test_what_the_event_log_overrides_and_calls_is_still_what_dagster_calls(tmp_path: Path) -> None:
    """A method under another name would be Dagster's own again: right, but a minute an asset for a history of sessions."""
    overridden = {"_connect", "has_asset_key_col", "has_secondary_index", "store_event", "store_event_batch"}
    called = {
        "_initdb",
        "_event_to_row",
        "_store_asset_event",
        "prepare_insert_event",
        "index_transaction",
        "conn_string_for_shard",
    }
    assert overridden <= set(vars(SessionEventLog))
    assert {name for name in overridden | called if not callable(getattr(SqliteEventLogStorage, name, None))} == set()
    storage = SqliteEventLogStorage(str(tmp_path))
    assert {"_db_lock", "_initialized_dbs"} <= set(vars(storage))
    storage.dispose()


def test_dagster_still_opens_a_file_anew_for_each_event() -> None:
    """Where this fails see whether the event log's own connections are needed still."""
    assert "create_engine(" in inspect.getsource(SqliteEventLogStorage._connect)


def test_the_storage_of_a_home_puts_its_event_log_where_dagster_asks_for_it(tmp_path: Path) -> None:
    storage = DagsterSqliteStorage(str(tmp_path))
    assert storage.event_log_storage is vars(storage)["_event_log_storage"]
    storage.event_log_storage.dispose()


def test_what_the_history_on_postgres_overrides_is_still_what_dagster_calls() -> None:
    """A method under another name would be Dagster's own again: sessions without rows would be shown, and each event log in."""
    pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed")
    from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage

    from pipelines.orchestration.compat.postgres_storage import SessionPostgresEventLog, SessionPostgresStorage

    assert {"store_event", "store_event_batch", "dispose"} <= set(vars(SessionPostgresEventLog)) & set(
        vars(PostgresEventLogStorage)
    )
    assert "self._engine = create_pg_engine(" in inspect.getsource(PostgresEventLogStorage.optimize_for_webserver)
    assert "pool_size" in inspect.getsource(PostgresEventLogStorage.optimize_for_webserver)
    assert "prepare_insert_event_batch(events)" in inspect.getsource(PostgresEventLogStorage.store_event_batch)
    assert "return self._event_log_storage" in inspect.getsource(DagsterPostgresStorage.event_log_storage.fget)  # type: ignore[attr-defined]
    assert set(SessionPostgresStorage.config_type()) == {"postgres_url"}


def test_dagster_still_names_no_driver_of_postgres() -> None:
    """Where this fails see whether the address must name the driver still."""
    pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed")
    from dagster_postgres.utils import get_conn_string
    from sqlalchemy import make_url

    from pipelines.orchestration.compat.postgres_storage import with_driver

    address = get_conn_string("me", "secret", "host", "dagster")
    assert make_url(address).get_dialect().driver == "psycopg"
    assert make_url(with_driver(address)).get_dialect().driver == "psycopg2"


def test_homes_of_earlier_versions_find_their_event_log(home) -> None:
    """The module and class that the `dagster.yaml` of every home names."""
    assert event_log.SessionEventLog is SessionEventLog
    text = (prepare_home(home) / "dagster.yaml").read_text(encoding="utf-8")
    assert "module: pipelines.orchestration.event_log\n  class: SessionEventLog\n" in text
    named = ConfigurableClassData("pipelines.orchestration.event_log", "SessionEventLog", f"base_dir: {home.home}/history\n")
    made = named.rehydrate(as_type=SessionEventLog)
    assert type(made) is SessionEventLog
    made.dispose()


@pytest.mark.slow
@pytest.mark.measured
def test_private_parts_of_the_libraries_are_imported_in_their_own_places_alone() -> None:
    places = {
        "dagster._": "orchestration/compat/",
        "dagster_dbt.": "orchestration/compat/",
        "dbt.": "dbt/",
        "great_expectations.": "ingest/suites.py",
        "deltalake._": "(nowhere)",
    }
    package = Path(__file__).parents[3] / "pipelines"
    imported = {
        (str(path.relative_to(package)), module)
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names])
    }
    found = {(file, module, place) for file, module in imported for part, place in places.items() if module.startswith(part)}
    assert {place for _, _, place in found} == set(places.values()) - {"(nowhere)"}
    assert {(file, module) for file, module, place in found if not file.startswith(place)} == set()


def test_the_page_on_upgrades_names_tests_that_there_are() -> None:
    root = Path(__file__).parents[3]
    named = set(re.findall(r"`(test_\w+)`", (root / "docs" / "upgrades.md").read_text(encoding="utf-8")))
    folders = [root / "tests" / "unit" / name for name in ("orchestration", "dbt", "storage", "ingest", "scanners")]
    folders.append(root / "tests" / "integration")
    text = "".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.glob("test_*.py"))
    assert len(named) > 20
    assert named - set(re.findall(r"^def (test_\w+)", text, re.MULTILINE)) == set()
