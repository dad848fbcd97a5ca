"""The source `actions`: corporate actions as a table that people keep, and as the adjustment files of Yahoo's old download.

Lives here: both layouts, the spellings of their columns and kinds, and the tickers that a rename row leads to.
Does not live here: Lean's factor files (`lean_reference.py`), what an action does to prices (`storage/adjusted_views.py`).

A table has a header and these columns in any order: `symbol` (left out: the option, else the file's stem), `ex_date`, `action`
(one of `market.tables.reference.ACTIONS`), and where the kind needs them:
- `ratio`: split, bonus, capital_reduction: new shares per old share, 7 for 7:1, 0.1 for one new share for ten old ones, 2 for a
  bonus of one for one; a split may be written `7:1`, other kinds may not, because a bonus of 1:1 doubles the shares and a split
  of 1:1 does nothing. Demerger, rights: the price after over the price before; empty where it is not known.
- `amount`: dividend: cash per share in the instrument's currency.
- nothing: ticker_reuse: from `ex_date` on the ticker is another company's; `successor`, where given, names the new instrument.
- nothing: true_move: a person's word that a step of the price is no action; delisting.
- `successor`: rename: the new ticker; merger, demerger: the company that continues or was split off.
- `announced`: day of the announcement; the action counts as known from then, else from its ex-date.

An adjustment file starts with `Date,Dividends`; its lines are `DIVIDEND, 20140403,0.10` and `SPLIT, 20140703,2:1` (new for old).
zipline keeps samples of it.

Options (`ParseOptions.extra`): `date_order` (`dmy` or `mdy`), where 03/04/2024 is not decided by the file itself.
"""

from __future__ import annotations

import difflib
import re
from datetime import timedelta
from typing import Final

import polars as pl

from pipelines.market.tables.reference import ACTIONS
from pipelines.sources.bar_rows import checked_options
from pipelines.sources.names import OPTIONS
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError, conform
from pipelines.sources.text import (
    fields,
    is_missing,
    line_read,
    lines,
    numbers,
    read_text,
    refuse_cut_off,
    split_line,
    stem,
    with_problems,
)
from pipelines.sources.timestamps import read_moments
from pipelines.sources.vendor_symbols import exchange_symbol

_SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    "symbol": ("symbol", "ticker", "tradingsymbol"),
    "ex_date": ("exdate", "date", "effectivedate"),
    "action": ("action", "kind", "type", "event", "purpose"),
    "ratio": ("ratio", "factor"),
    "amount": ("amount", "dividend", "cash"),
    "announced": ("announced", "announcementdate", "declared"),
    "successor": ("successor", "newsymbol", "into"),
}
_REQUIRED: Final = ("ex_date", "action")
_SEPARATORS: Final = (",", ";", "\t", "|")
_ADJUSTMENTS: Final = "date,dividends"
#: Lines that close an adjustment file; they describe it and are no actions.
_TRAILER: Final = ("STARTDATE", "ENDDATE", "TOTALSIZE", "STATUS")
_SUFFIXES: Final = (".csv", ".txt", ".tsv", ".adjustments", ".csv.gz", ".adjustments.gz", ".zip")
_NEEDS_SUCCESSOR: Final = ("rename",)
#: Not a corporate action: what it says goes to the names alone.
_REUSE: Final = "ticker_reuse"
_KINDS: Final = (*ACTIONS, _REUSE)


class ActionsSource:
    """Corporate actions of any kind, from a table or an adjustment file."""

    name = "actions"
    description = "corporate actions: a CSV of symbol, ex_date, action, ratio, amount, successor, announced; adjustment files"
    whole_market = False
    priority = 40
    publication_lag = timedelta(0)

    def claims(self, name: str) -> bool:
        """Text files that say so in their name: actions*.csv, *corporate_actions*, *.adjustments."""
        bare = name.rsplit("/", 1)[-1].lower()
        return bare.endswith(_SUFFIXES) and ("action" in bare or ".adjustments" in bare)

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """`corporate_actions`, one row per data row, and `symbol_history` where there are renames and tickers used again.

        Raises SourceError for a file that is damaged, has no such columns, or whose dates cannot be decided.
        """
        extra = checked_options(raw, self.name, options.extra, OPTIONS[self.name])
        text = read_text(raw)
        frame = lines(text)
        header = frame["line"][0]
        adjustments = re.sub(r"\s", "", header).lower() == _ADJUSTMENTS
        separator, names = (",", ["action", "ex_date", "terms"]) if adjustments else _layout(raw, header)
        rows = frame.slice(1)
        if adjustments:
            rows = rows.filter(~pl.col("line").str.to_uppercase().str.strip_chars().str.contains(rf"^({'|'.join(_TRAILER)})\b"))
        if rows.is_empty():
            raise SourceError(f"{raw.name}: only a header line and no rows; fetch it again")
        refuse_cut_off(raw, text, rows, width=len(names), separator=separator)
        actions = fields(rows, names, separator)
        actions = _terms(actions) if adjustments else actions
        actions = _with_symbol(raw, _with_all_columns(actions), options)
        actions = _with_dates(raw, actions, extra.get("date_order"))
        actions = _with_terms_read(_with_kinds(actions))
        reuses = (pl.col("action") == _REUSE) & pl.col("parse_problem").is_null()
        tables = [conform("corporate_actions", actions.filter(~reuses.fill_null(value=False)))]
        history = pl.concat([_renames(actions), _reuses(actions.filter(reuses))], how="diagonal")
        return tables if history.is_empty() else [*tables, conform("symbol_history", history)]


def _layout(raw: RawFile, header: str) -> tuple[str, list[str | None]]:
    separator = max(_SEPARATORS, key=header.count)
    written = [part.strip() for part in split_line(header, separator)]
    plain = [re.sub(r"[^a-z0-9]", "", part.lower()) for part in written]
    names: list[str | None] = [None] * len(plain)
    for field, spellings in _SPELLINGS.items():
        found = [i for i, name in enumerate(plain) if name in spellings and names[i] is None]
        if len(found) > 1:
            raise SourceError(
                f"{raw.name}, row 1: {written[found[0]]!r} and {written[found[1]]!r} both name the {field}; remove one"
            )
        if found:
            names[found[0]] = field
    missing = [field for field in _REQUIRED if field not in names]
    if missing:
        raise SourceError(
            f"{raw.name}, row 1: no column for {', '.join(missing)} among {', '.join(written)[:200]!r}; "
            f"a table of actions has {', '.join(_SPELLINGS)}"
        )
    return separator, names


def _terms(actions: pl.DataFrame) -> pl.DataFrame:
    """The one column of terms of an adjustment file as ratio or amount."""
    is_split = pl.col("action").str.to_lowercase() == "split"
    return actions.with_columns(
        ratio=pl.when(is_split).then("terms").otherwise(pl.lit("")), amount=pl.when(is_split).then(pl.lit("")).otherwise("terms")
    )


def _with_all_columns(actions: pl.DataFrame) -> pl.DataFrame:
    absent = [c for c in _SPELLINGS if c not in actions.columns and c != "symbol"]
    return actions.with_columns(pl.lit("").alias(c) for c in absent)


def _with_symbol(raw: RawFile, actions: pl.DataFrame, options: ParseOptions) -> pl.DataFrame:
    if "symbol" not in actions.columns:
        named = (options.symbol or stem(raw.name).removesuffix(".adjustments")).upper()
        return _of_exchange(actions.with_columns(symbol=pl.lit(named)), options.exchange)
    written = pl.col("symbol") != ""
    empty = pl.when(~written & line_read()).then(pl.lit("symbol: empty"))
    actions = with_problems(actions, [empty]).with_columns(symbol=pl.when(written).then(pl.col("symbol").str.to_uppercase()))
    return _of_exchange(actions, options.exchange)


def _of_exchange(actions: pl.DataFrame, mic: str) -> pl.DataFrame:
    """Symbols and successors without what a vendor adds for the exchange; one of another exchange is a problem of its row."""
    for name in ("symbol", "successor"):
        plain, other = exchange_symbol(pl.col(name).str.to_uppercase(), mic)
        actions = with_problems(actions, [other]).with_columns(plain.alias(name))
    return actions


def _with_dates(raw: RawFile, actions: pl.DataFrame, date_order: str | None) -> pl.DataFrame:
    for column, required in (("ex_date", True), ("announced", False)):
        moments = read_moments(raw, actions[column], date_order=date_order)
        day = pl.Series("day", moments["wall"].dt.date())
        actions = actions.with_columns(day)
        unread = pl.col("day").is_null() & line_read()
        empty = pl.lit(required) & is_missing(column)
        problem = (
            pl.when(unread & empty)
            .then(pl.lit(f"{column}: empty"))
            .when(unread & ~is_missing(column))
            .then(pl.format(column + ": '{}' is not a date", pl.col(column)))
        )
        actions = with_problems(actions, [problem]).with_columns(pl.col("day").alias(column)).drop("day")
    return actions


def _with_kinds(actions: pl.DataFrame) -> pl.DataFrame:
    """`action` as the lake spells it; null, with the nearest kind as advice, where it is none."""
    written = actions["action"].unique().drop_nulls().to_list()
    kinds = {text: re.sub(r"[\s-]+", "_", text.strip().lower()) for text in written}
    problems = {text: _unknown_kind(text, kind) for text, kind in kinds.items() if kind not in _KINDS}
    problem = pl.col("action").replace_strict(problems, default=None, return_dtype=pl.String)
    known = {text: kind for text, kind in kinds.items() if kind in _KINDS}
    actions = with_problems(actions, [problem])
    return actions.with_columns(pl.col("action").replace_strict(known, default=None, return_dtype=pl.String))


def _unknown_kind(text: str, kind: str) -> str:
    if not kind:
        return "action: empty"
    close = difflib.get_close_matches(kind, _KINDS, n=1)
    return f"action: {text!r} is none of {', '.join(_KINDS)}" + (f"; did you mean {close[0]}?" if close else "")


def _with_terms_read(actions: pl.DataFrame) -> pl.DataFrame:
    """Ratio and amount as numbers; what the kind needs and is not there is a problem."""
    pair = r"^(\d+(?:\.\d+)?)\s*:\s*(\d+(?:\.\d+)?)$"
    is_pair = pl.col("ratio").str.contains(pair)
    is_split = (pl.col("action") == "split").fill_null(value=False)
    new, old = (pl.col("ratio").str.extract(pair, group).cast(pl.Float64) for group in (1, 2))
    actions = actions.with_columns(
        __pair=pl.when(is_pair & is_split).then(new / old),
        ratio=pl.when(is_pair & is_split).then(pl.lit("")).otherwise("ratio"),
    )
    ambiguous = pl.when(is_pair & ~is_split).then(
        pl.format("ratio: '{}' of a {} can be read two ways; write new shares per old share as a number", "ratio", "action")
    )
    actions = with_problems(actions, [ambiguous]).with_columns(ratio=pl.when(is_pair).then(pl.lit("")).otherwise("ratio"))
    values, problems = numbers(["ratio", "amount"])
    actions = with_problems(actions, problems).with_columns(values)
    successor = pl.when(pl.col("successor") != "").then(pl.col("successor").str.to_uppercase())
    no_successor = pl.when(pl.col("action").is_in(_NEEDS_SUCCESSOR) & pl.col("successor").fill_null("").eq("") & line_read()).then(
        pl.format("successor: empty; a {} says the new ticker there", "action")
    )
    actions = with_problems(actions, [no_successor])
    return actions.with_columns(pl.coalesce("__pair", "ratio").alias("ratio"), successor.alias("successor")).drop("__pair")


def _renames(actions: pl.DataFrame) -> pl.DataFrame:
    """The ticker that each readable rename leads to, from its ex-date on."""
    return actions.filter((pl.col("action") == "rename") & pl.col("parse_problem").is_null()).select(
        "row_number", renamed_from="symbol", symbol="successor", valid_from="ex_date"
    )


def _reuses(actions: pl.DataFrame) -> pl.DataFrame:
    """The instrument that takes a ticker over, from its ex-date on."""
    made = pl.format("{}:{}", "symbol", pl.col("ex_date").dt.to_string("%Y-%m-%d"))
    return actions.select("row_number", "symbol", new_instrument=pl.coalesce("successor", made), valid_from="ex_date")
