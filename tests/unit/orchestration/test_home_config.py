"""The dagster.yaml of a home: where its history is kept, as the settings say, without a password in it."""

from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import dagster as dg
import pytest
import yaml

from pipelines.orchestration import home_config
from pipelines.orchestration.home_config import POSTGRES_URL, HistoryUnavailableError, prepare_home
from pipelines.settings import Settings
from pipelines.user_files import UserFileError

PASSWORD = "s3cret"


@pytest.fixture
def database(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the home with a database in the environment, as if dagster-postgres were installed."""
    monkeypatch.setattr(home_config, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setenv(POSTGRES_URL, f"postgresql://me:{PASSWORD}@127.0.0.1:1/dagster")
    return Settings()


def test_dagsters_first_visit_dialog_and_telemetry_are_off(home: Settings) -> None:
    prepare_home(home)
    with dg.DagsterInstance.get() as instance:
        assert (instance.nux_enabled, instance.telemetry_enabled) == (False, False)


def test_the_file_names_the_variable_of_the_database_and_not_its_password(database: Settings) -> None:
    text = (prepare_home(database) / "dagster.yaml").read_text()
    assert yaml.safe_load(text)["storage"]["custom"]["config"] == {"postgres_url": {"env": POSTGRES_URL}}
    assert "event_log_storage" not in yaml.safe_load(text)
    assert PASSWORD not in text + repr(database) + str(database)


def test_a_home_that_was_set_up_with_files_takes_the_database_unless_somebody_edited_its_file(
    home: Settings, database: Settings
) -> None:
    config = prepare_home(home) / "dagster.yaml"
    prepare_home(database)
    assert POSTGRES_URL in config.read_text()

    config.unlink()
    prepare_home(home)
    config.write_text(config.read_text() + "# mine\n")
    with pytest.raises(UserFileError, match=r"dagster\.yaml keeps Dagster's history elsewhere, although") as refused:
        prepare_home(database)
    assert PASSWORD not in str(refused.value)
    assert config.read_text().endswith("# mine\n")


def test_without_the_variable_the_runs_do_not_go_to_files_unseen(home: Settings, database: Settings) -> None:
    prepare_home(database)
    with pytest.raises(UserFileError, match=f"keeps Dagster's history on PostgreSQL, and {POSTGRES_URL} is not set"):
        prepare_home(home)


def test_without_dagster_postgres_the_way_to_install_it_is_named(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_config, "find_spec", lambda name: None)
    with pytest.raises(UserFileError, match=r"pip install 'marketlake\[postgres\]'"):
        prepare_home(database)


def test_a_server_that_does_not_answer_is_one_sentence_without_the_password(
    home: Settings, monkeypatch: pytest.MonkeyPatch, marketlake
) -> None:
    utils = pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed").utils
    # Six tries with growing pauses between them.
    monkeypatch.setattr(utils, "time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setenv(POSTGRES_URL, f"postgresql://me:{PASSWORD}@127.0.0.1:1/dagster")
    from pipelines.orchestration.instance import open_instance

    with pytest.raises(HistoryUnavailableError, match=r"cannot be opened: connection to server at \"127.0.0.1\", port 1 failed"):
        open_instance(Settings())
    code, out, err = marketlake("doctor", "--json")
    assert code == 1
    assert "cannot be opened: connection to server" in out
    assert PASSWORD not in out + err
