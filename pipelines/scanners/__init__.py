"""Scanners: which there are, and running their compiled SQL in this process.

Lives here: the registry read from dbt's manifest, the dbt project as a resource, the in-process runner.
Does not live here: the rules themselves (`dbt_project/models/scanners`), Dagster (`orchestration`), backtests.
"""
