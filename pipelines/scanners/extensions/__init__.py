"""Scanners that an installation adds: those of its rule file and of installed packages.

Does not live here: the grammar of rules (`scanners/rules/`).
"""
