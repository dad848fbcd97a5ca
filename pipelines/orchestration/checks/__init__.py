"""Asset checks by what they look at: the gate, freshness, findings, indicators, scanners.

Does not live here: the tests of dbt models, which dagster-dbt turns into checks.
"""
