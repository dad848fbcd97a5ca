"""The file of options of an inbox folder: what it may say, and the line of what it may not."""

from datetime import date
from pathlib import Path

import pytest

from pipelines.inbox.options import governing, read_options, reading_of
from pipelines.user_files import UserFileError


def options_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "options.yaml"
    path.write_text(text)
    return path


def test_what_the_command_takes_can_stand_in_the_file(tmp_path: Path) -> None:
    text = 'timezone: Asia/Kolkata\nsymbol: "500325"\nsession: "2024-01-05"\noption:\n  interval: 1m\n  price_scale: 100\n'
    read = read_options(options_file(tmp_path, text), "csv")
    assert reading_of(read) == {
        "timezone": "Asia/Kolkata",
        "symbol": "500325",
        "session": date(2024, 1, 5),
        "extra": {"interval": "1m", "price_scale": "100"},
    }


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    assert read_options(options_file(tmp_path, "# nothing yet\n"), "csv") == {}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("symbol: IBM\nzone: UTC\n", 2, "unknown key 'zone'; known are timezone, symbol, session, option"),
        ("timezone: Mars/Olympus\n", 1, "timezone: 'Mars/Olympus' is not known"),
        ("symbol: IBM\nsession: tomorrow\n", 2, "session: 'tomorrow' is no date"),
        ("session: 2024-01-05\n", 1, "put it in quotes"),
        ("symbol: 500325\n", 1, "symbol is 500325; write a text, in quotes"),
        ("symbol:\n", 1, "symbol is None"),
        ("- symbol\n", 1, "is no mapping"),
        ("option: 1m\n", 1, "option is no mapping"),
        ("option:\n  interval: 7m\n", 2, "must be one of"),
        ("option:\n  interval:\n", 2, "'interval' needs one value"),
        ("option:\n  interval: 1m\n  interval: 1m\n", 3, "is given twice"),
        ("symbol: {{ env_var('SECRET') }}\n", 1, ""),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, text: str, line: int, says: str) -> None:
    path = options_file(tmp_path, text)
    with pytest.raises(UserFileError) as error:
        read_options(path, "csv")
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_the_nearest_file_of_options_stands_for_a_file() -> None:
    there = ["options.yaml", "a/b/options.yaml"]
    assert governing("a/b/c/x.csv", there) == "a/b/options.yaml"
    assert governing("a/x.csv", there) == "options.yaml"
    assert governing("a/x.csv", there[1:]) is None
