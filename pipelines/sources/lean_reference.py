"""Lean's factor files and map files: corporate actions and ticker histories.

Lives here: turning cumulative factors back into the splits and dividends they came from, and map rows into periods of validity.
Does not live here: applying them (`market/`), Lean's bars (`lean.py`).

A factor row "date, price factor, split factor, reference price" holds up to and including its date, so that the action lies
between two rows and its ex-date is the first session after the earlier row's date. With p, s the factors of a row and p', s'
those of the next:
    split ratio (new shares per old) = s' / s          dividend per share = reference price × (1 − p / p')
Lean builds the factors that way (FactorFile in its documentation); the reference price is the close before the ex-date. So its
dividend is per share as held before; where a split goes ex on the same day, it is stored per share as it trades on that day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.market.calendar import CalendarError, calendar
from pipelines.market.exchanges import UnknownExchangeError
from pipelines.sources.protocol import ParsedTable, RawFile, SourceError, conform
from pipelines.sources.text import lines, refuse_cut_off

#: Lean's "still valid".
_OPEN_END: Final = date(2050, 12, 31)
#: Split factors carry six significant digits, so that 2:1 may read 1.999996.
_RATIO_TOLERANCE: Final = 1e-5
_LARGEST_SPLIT_PART: Final = 50
#: Price factors carry seven decimals, reference prices two.
_FACTOR_ERROR: Final = 5e-8
_PRICE_ERROR: Final = 5e-3


@dataclass(frozen=True)
class _FactorRow:
    row_number: int
    day: date
    price_factor: float
    split_factor: float
    reference_price: float


def corporate_actions(raw: RawFile, text: str, symbol: str, exchange: str) -> ParsedTable:
    """Splits and dividends of a factor file, in order of ex-date.

    `row_number` is the row whose factors end with the action. Raises SourceError for rows that are no factors or not in order of
    date.
    """
    rows = [_factor_row(raw, *line) for line in _rows(raw, text, 4)]
    _require_order(raw, [(row.row_number, row.day) for row in rows])
    found: list[dict[str, object]] = []
    for row, after in pairwise(rows):
        ex_date = _next_session(exchange, row.day, raw.calendars)
        common = {"row_number": row.row_number, "symbol": symbol, "ex_date": ex_date}
        if after.split_factor != row.split_factor:
            found.append({**common, "action": "split", "ratio": split_ratio(row.split_factor, after.split_factor)})
        if after.price_factor != row.price_factor:
            amount = dividend_amount(row.reference_price, row.price_factor, after.price_factor)
            shares = split_ratio(row.split_factor, after.split_factor)
            found.append({**common, "action": "dividend", "amount": amount if shares == 1.0 else round(amount / shares, 6)})
    schema = {
        "row_number": pl.Int64,
        "symbol": pl.String,
        "ex_date": pl.Date,
        "action": pl.String,
        "ratio": pl.Float64,
        "amount": pl.Float64,
    }
    return conform("corporate_actions", pl.DataFrame(found, schema=schema))


def symbol_history(raw: RawFile, text: str, permanent: str) -> ParsedTable:
    """The tickers an instrument traded under, from a map file: its first row is the first day, each other row a ticker's last
    day.

    `permanent` is the name Lean files the instrument under (its last ticker). Days are inclusive; a null `valid_to` means still
    traded.
    """
    rows = [(number, _day(raw, number, parts[0]), parts[1].strip().upper()) for number, parts in _rows(raw, text, 2)]
    if len(rows) < 2:
        raise SourceError(
            f"{raw.name}: a map file has a first day and at least one last day; this has {len(rows)} row; fetch it again"
        )
    _require_order(raw, [(number, day) for number, day, _ in rows])
    starts = [rows[0][1], *(day + timedelta(days=1) for _, day, _ in rows[1:-1])]
    found = {
        "row_number": [number for number, _, _ in rows[1:]],
        "permanent": permanent,
        "symbol": [ticker for _, _, ticker in rows[1:]],
        "valid_from": starts,
        "valid_to": [None if day >= _OPEN_END else day for _, day, _ in rows[1:]],
    }
    frame = pl.DataFrame(found, schema_overrides={"valid_from": pl.Date, "valid_to": pl.Date})
    return conform("symbol_history", frame.filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from"))))


def split_ratio(before: float, after: float) -> float:
    """New shares per old. The nearest ratio of small whole numbers where the factors' precision allows it, else six decimals."""
    ratio = after / before
    simple = Fraction(ratio).limit_denominator(_LARGEST_SPLIT_PART)
    if simple and simple.denominator < _LARGEST_SPLIT_PART and abs(float(simple) / ratio - 1) < _RATIO_TOLERANCE:
        return float(simple)
    return round(ratio, 6)


def dividend_amount(reference_price: float, before: float, after: float) -> float:
    """Currency per share, with the fewest decimals (two to six) that the factors' precision cannot tell from the exact
    quotient.
    """
    share = 1 - before / after
    amount = reference_price * share
    error = reference_price * 2 * _FACTOR_ERROR / after + _PRICE_ERROR * abs(share)
    for decimals in range(2, 6):
        if abs(round(amount, decimals) - amount) <= error:
            return round(amount, decimals)
    return round(amount, 6)


def _rows(raw: RawFile, text: str, width: int) -> list[tuple[int, list[str]]]:
    frame = lines(text)
    refuse_cut_off(raw, text, frame, width=width, separator=",")
    found = [(number, line.split(",")) for number, line in frame.iter_rows()]
    for number, parts in found:
        if len(parts) < width:
            raise SourceError(f"{raw.name}, row {number}: {len(parts)} fields where {width} are expected; fetch the file again")
    return found


def _factor_row(raw: RawFile, number: int, parts: list[str]) -> _FactorRow:
    try:
        price_factor, split_factor, reference = (float(part) for part in parts[1:4])
    except ValueError as error:
        raise SourceError(f"{raw.name}, row {number}: {error}; a factor file holds date, two factors and a price") from error
    if not (price_factor > 0 and split_factor > 0 and isfinite(price_factor * split_factor * reference)):
        raise SourceError(
            f"{raw.name}, row {number}: factors must be finite and above zero, found {','.join(parts[1:4])}; fetch the file again"
        )
    return _FactorRow(number, _day(raw, number, parts[0]), price_factor, split_factor, reference)


def _day(raw: RawFile, number: int, text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise SourceError(f"{raw.name}, row {number}: {text!r} is no date YYYYMMDD; fetch the file again") from error


def _require_order(raw: RawFile, days: list[tuple[int, date]]) -> None:
    for (_, earlier), (number, later) in pairwise(days):
        if later < earlier:
            raise SourceError(
                f"{raw.name}, row {number}: {later} comes after {earlier}; rows must be in order of date, fetch the file again"
            )


def _next_session(exchange: str, day: date, calendars: Path | None) -> date:
    """The first session after `day`; the next weekday where the calendar does not reach."""
    try:
        sessions = calendar(exchange, calendars).between(day + timedelta(days=1), day + timedelta(days=14))
    except (CalendarError, UnknownExchangeError):
        sessions = []
    if sessions:
        return sessions[0].session_date
    after = day + timedelta(days=1)
    while after.weekday() >= 5:
        after += timedelta(days=1)
    return after
