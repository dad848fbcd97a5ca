"""Alerts: telling people elsewhere that something is wrong, once, and that it is right again.

Lives here: what an alert is, which are sent when, and where to.
Does not live here: finding what is wrong (`orchestration/alerts.py`), the command (`cli/alerts.py`).
"""
