"""What is used of dbt and dbt-duckdb besides their commands is still there; `docs/upgrades.md` lists these tests."""

import click


def test_connections_that_dbt_duckdb_keeps_for_the_next_run_can_be_closed() -> None:
    """`pipelines/dbt/run.py`: dbt-duckdb has no public call; under another name a scan would leave its database locked."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    assert callable(DuckDBConnectionManager.close_all_connections)
    assert {"_ENV", "_LOCK"} <= set(vars(DuckDBConnectionManager))
    DuckDBConnectionManager.close_all_connections()
    assert DuckDBConnectionManager._ENV is None


def test_the_command_line_of_dbt_is_one_that_marketlake_dbt_can_call() -> None:
    """`pipelines/dbt/process.py` calls it without arguments, so that it reads those of the process."""
    from dbt.cli.main import cli, dbtRunner

    assert isinstance(cli, click.Command)
    assert callable(dbtRunner.invoke)


def test_dbt_can_be_told_before_its_command_to_write_no_manifest() -> None:
    """`pipelines/dbt/process.py` hands it to every build of a run; an option that dbt does not know fails the run."""
    from dbt.cli.main import cli

    assert "--no-write-json" in {word for option in cli.params for word in option.secondary_opts}
