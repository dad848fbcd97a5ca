"""A build: what is outdated, the database in which dbt computes it, and the commit of what came out.

Lives here: the plan of a build, its database, what of a derived table it replaces, committing the derived tables.
Does not live here: the models (`dbt_project/`), running dbt (`dbt/`), releases (`storage/releases.py`).
"""
