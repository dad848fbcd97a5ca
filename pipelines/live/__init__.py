"""Live bars: closed minutes into the journal, and the scan of what has ended so far.

Lives here: taking a batch of closed bars and running the compiled scanners on it.
Does not live here: launching (`orchestration/sensors.py`), the scanners (`dbt_project/`), feeds.
"""
