"""Comparisons with others: their numbers (`references`) and their speed (the rest). `python -m benchmarks` runs the latter.

Not here: tests of behaviour (`tests/`), anything a job imports.
"""
