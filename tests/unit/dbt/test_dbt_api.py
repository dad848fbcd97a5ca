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
