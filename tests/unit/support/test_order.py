"""The longest files start first, and all of them are there."""

from tests.support.order import LONGEST, TESTS, place_of


def test_the_longest_files_are_there_once_each() -> None:
    assert len(set(LONGEST)) == len(LONGEST)
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []


def test_they_start_before_other_slow_files_and_these_before_the_rest() -> None:
    fast, slow = TESTS / "unit" / "test_docs.py", TESTS / "integration" / "test_disasters.py"
    given = [(fast, False), (slow, True), *((TESTS / name, True) for name in reversed(LONGEST))]
    ordered = sorted(given, key=lambda file: place_of(file[0], is_slow=file[1]))
    assert [path for path, _ in ordered] == [*(TESTS / name for name in LONGEST), slow, fast]
