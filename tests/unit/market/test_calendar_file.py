"""What may stand in a home's calendar file: each mistake is one line with its place, all of them together."""

from datetime import date, time
from pathlib import Path

import pytest

from pipelines.market.calendar_file import HomeCalendarError, parse_home_calendar

PATH = Path("calendars/XNSE.toml")
GOOD = """\
# A remark.
[[holiday]]
date = 2027-01-26
source = "NSE circular, holidays of 2027"

[[session]]
date = 2027-01-30
kind = "special"
windows = ["09:15-10:00", "11:30-12:30"]
source = "NSE circular on a disaster-recovery session"

[[hours]]
from = 2027-08-02
until = 2027-08-31
windows = ["09:00-16:00"]
source = "NSE circular on longer hours"

[[known]]
until = 2027-06-30
source = "first half"

[[known]]
until = 2027-12-31
source = "second half"
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(HomeCalendarError) as caught:
        parse_home_calendar(PATH, text)
    problems = caught.value.problems
    assert all("\n" not in problem and problem.startswith(f"{PATH}:") for problem in problems)
    return [problem.removeprefix(f"{PATH}:") for problem in problems]


def test_a_file_is_read_in_its_order_with_lines_and_the_last_known_end_counts() -> None:
    read = parse_home_calendar(PATH, GOOD)

    assert [(e.what, e.first, e.last, e.line) for e in read.entries] == [
        ("holiday", date(2027, 1, 26), None, 2),
        ("session", date(2027, 1, 30), None, 6),
        ("hours", date(2027, 8, 2), date(2027, 8, 31), 12),
        ("known", date(2027, 6, 30), date(2027, 6, 30), 18),
        ("known", date(2027, 12, 31), date(2027, 12, 31), 22),
    ]
    assert read.entries[1].windows == ((time(9, 15), time(10)), (time(11, 30), time(12, 30)))
    assert read.known_until is read.entries[-1]
    assert read.origin(read.entries[0]) == "calendars/XNSE.toml:2: NSE circular, holidays of 2027"


def test_an_empty_file_states_nothing_and_windows_line_ends_change_nothing() -> None:
    assert parse_home_calendar(PATH, "").entries == ()
    assert parse_home_calendar(PATH, GOOD.replace("\n", "\r\n")).entries == parse_home_calendar(PATH, GOOD).entries


def hours(windows: str) -> str:
    return f'[[hours]]\nfrom = 2027-01-30\nwindows = {windows}\nsource = "x"\n'


HOLIDAY = '[[holiday]]\ndate = 2027-01-26\nsource = "x"\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[holiday]]\ndate = 2027-99-26\n", "2: not TOML: Expected newline"),
        ("[[holiday]]\ndate =", "2: not TOML: Invalid value (at end of document)"),
        ('[[holiday]]\ndate = 2027-01-26\ndate = 2027-01-27\nsource = "x"', "3: not TOML: Cannot overwrite a value"),
        ("a = " + "[" * 5_000, "1: not TOML: nested too deep"),
        ("a = " + "1" * 5_000, "1: not TOML: Exceeds the limit"),
        ('[[holiday]]\nsource = """\nx"""', "2: a text of several lines has no meaning here"),
        ('[[holidays]]\ndate = 2027-01-26\nsource = "x"', "1: holidays is none of"),
        ('[holiday]\ndate = 2027-01-26\nsource = "x"', "1: write each holiday below a line [[holiday]]"),
        ('holiday = [{date = 2027-01-26, source = "x"}]', "1: write each holiday below a line [[holiday]]"),
        ("holiday = 3", "1: write each holiday below a line [[holiday]]"),
        ("[[holiday]]\ndate = 2027-01-26\n", "1: [[holiday]] lacks source"),
        ('[[holiday]]\nsource = "x"\n', "1: [[holiday]] lacks date"),
        ('[[holiday]]\nday = 2027-01-26\nsource = "x"', "1: [[holiday]] lacks date"),
        (
            '[[holiday]]\ndate = "2027-01-26"\nsource = "x"',
            "2: date: '2027-01-26' is no date; write it as 2027-01-26",
        ),
        ('[[holiday]]\ndate = 2027-01-26T09:00:00\nsource = "x"', "2: date: datetime.datetime(2027, 1, 26, 9, 0) is no date"),
        ('[[holiday]]\ndate = 2527-01-26\nsource = "x"', "2: date: 2527-01-26 lies outside 1900 to 2199"),
        ('[[holiday]]\ndate = 2027-01-26\nsource = " "', "3: source: say in a text of at most 500 letters"),
        ("[[holiday]]\ndate = 2027-01-26\nsource = 7", "3: source: say in a text of at most 500 letters"),
        ('[[holiday]]\ndate = 2027-01-26\nsource = "' + "x" * 501 + '"', "3: source: say in a text of at most 500 letters"),
        ('[[holiday]]\ndate = 2027-01-26\nsource = "a\\u001b[31m"', "3: source: 'a\\x1b[31m' holds a control character; remove it"),
        ('[[session]]\ndate = 2027-01-30\nsource = "x"', "1: [[session]] lacks kind"),
        ('[[session]]\ndate = 2027-01-30\nkind = "short"\nsource = "x"', "3: kind: 'short' is none of regular, half_day, special"),
        (
            '[[session]]\ndate = 2027-01-30\nkind = "half_day"\nsource = "x"',
            '3: kind: a half day has hours of its own; state them, for example windows = ["09:15-12:30"]',
        ),
        ('[[session]]\ndate = 2027-01-30\nkind = "special"\nwindows = "18:00-19:00"\nsource = "x"', "4: windows: write a list"),
        (hours("[]"), "3: windows: write a list"),
        (
            hours('["9:15-15:30"]'),
            "3: windows: '9:15-15:30' is no stretch of trading",
        ),
        (
            hours('["09:15-25:30"]'),
            "3: windows: '09:15-25:30' is no stretch of trading",
        ),
        (
            hours('["15:30-09:15"]'),
            "3: windows: '15:30-09:15' ends before it starts",
        ),
        (
            hours('["09:15-12:00", "11:00-15:30"]'),
            "3: windows: '11:00-15:30' begins before 12:00, where the stretch before it ends",
        ),
        (
            hours('["09:15-12:00"]') + "until = 2027-01-01\n",
            "1: until 2027-01-01 lies before",
        ),
        (HOLIDAY + HOLIDAY, "4: 2027-01-26 is stated in line 1 already; remove one"),
        (HOLIDAY + '[[session]]\ndate = 2027-01-26\nkind = "regular"\nsource = "x"', "4: 2027-01-26 is stated in line 1 already"),
        (
            hours('["09:15-12:00"]') * 2,
            "5: its days are among those of the hours in line 1",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text: str, line: str) -> None:
    assert mistakes(text)[0].startswith(line)


def test_a_slip_in_a_name_gets_the_nearest_one() -> None:
    assert mistakes('[[holydays]]\ndate = 2027-01-26\nsource = "x"')[0].endswith("did you mean [[holiday]]?")
    assert mistakes(HOLIDAY + 'suorce = "x"\n')[0] == "4: suorce: no key of [[holiday]]; did you mean source?"


def test_a_kind_where_none_belongs_is_one_mistake() -> None:
    assert mistakes(HOLIDAY + 'kind = "half_day"\n') == ["4: kind: no key of [[holiday]]; it has date, source"]


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines() -> None:
    text = '[[known]]\nuntil = "soon"\nsource = "x"\n[[holiday]]\ndate = 2027-01-26\n'
    text += '[[session]]\ndate = 2027-01-30\nkind = "odd"\nsource = ""\n'

    assert [problem.split(":")[0] for problem in mistakes(text)] == ["2", "4", "8", "9"]
