"""Backups of a home: `snapshot` finds which files belong together, `folder` keeps them, `make` and `restore` go both ways.

Lives here: everything that knows how a backup is laid out.
Does not live here: the commands (`cli/backup.py`), putting a damaged lake right (`maintenance/repair.py`).
"""
