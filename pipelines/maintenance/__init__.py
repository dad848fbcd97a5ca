"""Keeping a lake in order over the years.

Lives here: putting damaged tables right (`repair.py` and what it stands on).
Does not live here: finding damages (`storage/integrity.py`, `doctor/`), schedules and jobs (`orchestration/`).
"""
