"""Checks of scanners and indicators after a build: reproducibility and look-ahead, on sampled evaluation times.

Does not live here: the checks as Dagster shows them (`orchestration/checks/`).
"""
