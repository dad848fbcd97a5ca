"""Validation of bars: what a row must satisfy, and what it must agree with.

Lives here: row rules, profiles of sessions, and comparisons of a batch with the market and with stored bars.
Does not live here: which instrument a row is about (`identity/`), what follows from a finding (`ingest/`), tests of derived
tables (dbt).
"""
