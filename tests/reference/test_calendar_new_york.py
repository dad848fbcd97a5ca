"""Every session of New York since 1990 against the table that exchange_calendars keeps of the exchange's own announcements."""

import csv
import json
from datetime import date, datetime
from pathlib import Path

from pipelines.market.calendar import calendar
from pipelines.market.exchanges import exchange


def test_sessions_opens_and_closes_equal_the_table(shared: Path) -> None:
    with (shared / "reference/calendars/xnys.csv").open(encoding="utf-8") as text:
        rows = [
            (date.fromisoformat(r[""][:10]), datetime.fromisoformat(r["open"]), datetime.fromisoformat(r["close"]))
            for r in csv.DictReader(text)
        ]
    ours = [(s.session_date, s.opens_at, s.closes_at) for s in calendar("XNYS").between(rows[0][0], rows[-1][0])]
    assert len(rows) == 8324
    assert ours == rows


def test_half_days_and_holidays_equal_lean_s_market_hours(shared: Path) -> None:
    hours = json.loads((shared / "reference/calendars/lean_market_hours_usa.json").read_text(encoding="utf-8"))
    days, zone = calendar("XNYS"), exchange("XNYS").zone
    first, last = date(1998, 1, 2), date(2022, 12, 31)
    holidays = [datetime.strptime(text, "%m/%d/%Y").date() for text in hours["holidays"]]  # noqa: DTZ007 - a date has no zone
    known = [day for day in holidays if first <= day <= last]
    assert len(known) > 200
    assert [day for day in known if days.get(day) is not None] == []
    for text, close in hours["earlyCloses"].items():
        day = datetime.strptime(text, "%m/%d/%Y").date()  # noqa: DTZ007
        # That file also names Christmas Eves that fell on a Sunday.
        if first <= day <= last and day.weekday() < 5:
            session = days.session(day)
            assert session.kind == "half_day", day
            assert f"{session.closes_at.astimezone(zone):%H:%M:%S}" == close, day
