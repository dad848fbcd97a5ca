"""Dagster, and nothing but Dagster: assets, checks, partitions, resources, jobs, schedules, sensors.

Lives here: the thin skin that lets Dagster call the pure functions of the other packages.
Does not live here: any rule about bars, signals or files. Only this package and `definitions.py` import dagster.
"""

import warnings

# Backfill policies and kinds are marked beta by Dagster; the lock file holds the version whose behaviour the tests prove.
warnings.filterwarnings("ignore", message=".*is currently in (beta|preview).*")
