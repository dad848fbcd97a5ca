"""Inboxes: folders that others write into at any time, by any means, and from which every file is taken once.

Lives here: what lies in a folder, when it is complete, what was taken, and deliveries of vendor files.
Does not live here: the sensors that look (`orchestration/`), the live scan (`live/`).
"""
