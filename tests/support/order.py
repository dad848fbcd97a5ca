"""In which order the files of tests start: a run on several workers is as long as the one that ends last.

Lives here: the files that take longest, and where a file stands.
Does not live here: handing files to workers, which pytest-xdist does in this order.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]
#: The files that take longest, the longest first; of those that wait for the home that several copy, one at a time at the start.
LONGEST = (
    *("ui/test_pages.py", "integration/test_late_events.py", "integration/test_scanning_any_moment.py"),
    *("integration/test_scan_parity.py", "integration/test_crash_points.py", "integration/test_incremental_equals_full.py"),
    *("integration/test_live_daemon.py", "integration/test_power_failure.py", "integration/test_offenders_are_caught.py"),
    *(
        "integration/test_state_is_derived.py",
        "integration/test_examples_after_demo.py",
        "integration/test_readers_during_nightly.py",
    ),
    *("integration/test_provisional_sessions.py", "integration/test_chosen_indicators.py", "integration/test_restatements.py"),
)


def place_of(path: Path, *, is_slow: bool) -> tuple[int, bool]:
    """What a file is sorted by: the longest first, then others with slow tests, then the rest."""
    name = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else ""
    return (LONGEST.index(name) if name in LONGEST else len(LONGEST), not is_slow)
