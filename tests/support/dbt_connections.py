"""Closing what dbt-duckdb keeps open in this process, for tests that call dbt's own command line in it.

dbt-duckdb keeps the database open for the next command and has no public call to close it; `tests/unit/dbt/test_dbt_api.py` fails
by name where the one used here goes away.

Lives here: `close_connections`.
Does not live here: dbt as marketlake runs it, which closes them itself (`pipelines/dbt/run.py`).
"""


def close_connections() -> None:
    """Let others open the database again."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()
