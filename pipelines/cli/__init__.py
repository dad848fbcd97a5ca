"""The `marketlake` command: one module a command, each of which parses, calls and prints.

Does not live here: anything that a run of Dagster does as well.
"""
