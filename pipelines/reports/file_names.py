"""What the files of reports are called, for those who link to them.

Lives here: names, and nothing that takes time to import.
Does not live here: writing the files (`nightly_reports.py`, `run_reports.py`).
"""

INDEX = "index.html"
#: Letters of a run's id in the name of its report.
_ID = 12


def report_name(exchange: str, scanner: str) -> str:
    """Name of the file with the risk report of a scanner, the same every night."""
    return f"{exchange}_{scanner}_risk.html"


def strategy_report_name(exchange: str, asset: str) -> str:
    """Name of the file with the report of a strategy file that the nightly job runs, by the name of its asset."""
    return f"{exchange}_{asset}.html"


def run_report_name(exchange: str, algorithm: str, run_id: str) -> str:
    """Name of the file with the report of a run that somebody asked for."""
    return f"{exchange}_{algorithm}_{run_id[:_ID]}.html"


def scoreboard_name(exchange: str) -> str:
    """Name of the file with the scoreboard of an exchange."""
    return f"{exchange}_scoreboard.html"
