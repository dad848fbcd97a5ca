"""What may enter the lake: row rules, identity, the gate of each session, quarantine.

Lives here: turning parsed rows into staged rows, judging them, and recording the verdict.
Does not live here: reading vendor formats (`sources/`), merging and committing (`storage/`), tests of derived tables (dbt).
"""
