"""What relies on private parts of Dagster and dagster-dbt: each with its reason, and a test that fails by name where they change.

Lives here: `partitions` (hash and keys of partitions by time), `event_log` (Dagster's SQLite event log at the pace of thousands of
sessions), `postgres_storage` (the history on PostgreSQL), `home_storage` (the history where the settings have it), `run_origin`
(the code location of a run of the command line), `dbt_resource` (what dagster-dbt does besides running dbt). No module outside
imports a private one of either library.
Does not live here: what is done with dbt itself (`dbt/`). `docs/upgrades.md` names the tests.

Nothing is imported here: the event log is loaded by every process of a home, dagster-dbt by few.
"""
