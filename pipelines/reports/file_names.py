"""What the files of reports are called, for those who link to them.

Lives here: names, and nothing that takes time to import.
Does not live here: writing the files (`nightly_reports.py`).
"""


def report_name(exchange: str, scanner: str) -> str:
    """Name of the file with the risk report of a scanner, the same every night."""
    return f"{exchange}_{scanner}_risk.html"
