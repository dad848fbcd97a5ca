"""Row rules: what a single delivered row must satisfy.

Lives here: the rules of each table, run by pandera; a row that breaks one goes to quarantine under the rule's name.
Does not live here: rules about a whole session (`ingest/gate.py`), duplicates (`duplicates.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import polars as pl

from pipelines.market.symbols import LONGEST_SYMBOL, is_well_formed

#: A bar wider than this holds a stub quote or a decimal slip; real bars of listed shares stay far below.
_MOST_RANGE = 20
#: Dearest price, greatest volume and greatest ratio of an action that the lake takes: far beyond any real one, and small enough
#: that ten-thousandths of prices and twenty sessions' volumes, times any parameter of a scanner, are whole numbers of 64 bits.
MOST_PRICE, MOST_VOLUME, _MOST_RATIO = 10**9, 5 * 10**14, 10**4
#: How far the clock that stamped a file's arrival may be behind the exchange's.
_CLOCK_ERROR = timedelta(minutes=5)
_PRICES = ("open", "high", "low", "close")
#: Turnover is printed in hundredths of a lakh at the coarsest (off by up to 500 rupees), prices in hundredths.
_TURNOVER_ROUNDING = 500
_PRICE_ROUNDING = 0.005


#: Actions that mean nothing without a ratio; a demerger or a rights issue without one stops signals across its ex-date instead.
_BY_RATIO = ("split", "bonus", "capital_reduction")


@dataclass(frozen=True)
class Rule:
    """One row rule. `holds` is true for a good row; null counts as good, so that each rule speaks only of what it names."""

    name: str
    holds: pl.Expr
    reason: str


def _col(name: str) -> pl.Expr:
    return pl.col(name)


def _over_on_arrival(ends: pl.Expr) -> pl.Expr:
    return ends <= _col("received_at") + _CLOCK_ERROR


_READABLE = (
    Rule("unreadable_field", _col("parse_problem").is_null(), "a field could not be read"),
    Rule("missing_symbol", _col("symbol").is_not_null() & (_col("symbol") != ""), "no symbol"),
)

#: What is wrong with a symbol that no instrument can bear, and what to do.
MALFORMED_SYMBOL = (
    "the symbol holds a blank, a quote, an invisible mark or another character that tickers do not have (allowed: letters, digits "
    f"and & . - _ / ^ =), or more than {LONGEST_SYMBOL}: correct the file or its name, or give --symbol"
)
_SYMBOL = (Rule("malformed_symbol", is_well_formed(_col("symbol")) | (_col("symbol") == ""), MALFORMED_SYMBOL),)
_ACTION_SYMBOLS = (
    Rule(
        "malformed_symbol",
        (is_well_formed(_col("symbol")) | (_col("symbol") == "")) & is_well_formed(_col("successor")).fill_null(value=True),
        MALFORMED_SYMBOL,
    ),
)

_VALUES = (
    Rule("missing_price", pl.all_horizontal(_col(p).is_not_null() for p in _PRICES), "open, high, low or close is missing"),
    Rule("non_positive_price", pl.all_horizontal(_col(p) > 0 for p in _PRICES), "a price is zero or negative"),
    Rule("infinite_price", pl.all_horizontal(_col(p).is_finite() for p in _PRICES), "a price is not a finite number"),
    Rule(
        "implausible_price",
        pl.all_horizontal(_col(p) <= MOST_PRICE for p in _PRICES),
        f"a price is above {MOST_PRICE:,}: a scaling error, or another column",
    ),
    Rule("high_below_low", _col("high") >= _col("low"), "high is below low"),
    Rule(
        "open_or_close_outside_range",
        pl.all_horizontal(_col(p).is_between(_col("low"), _col("high")) for p in ("open", "close")) | (_col("high") < _col("low")),
        "open or close lies outside low to high",
    ),
    Rule(
        "implausible_range",
        _col("high") <= _MOST_RANGE * _col("low"),
        f"high is more than {_MOST_RANGE} times low: a scaling error or a stub quote",
    ),
    Rule("missing_volume", _col("volume").is_not_null(), "volume is missing"),
    Rule("negative_volume", _col("volume") >= 0, "volume is negative"),
    Rule("fractional_volume", _col("volume") == _col("volume").floor(), "volume is not a whole number"),
    Rule(
        "implausible_volume",
        _col("volume") <= MOST_VOLUME,
        f"volume is above {MOST_VOLUME:,}: another column, or a damaged one",
    ),
    Rule("identity_ambiguous", ~_col("ambiguous"), "the symbol belongs to more than one instrument on that day"),
)

_DAILY = (
    Rule("missing_date", _col("session_date").is_not_null(), "no date"),
    Rule("beyond_calendar", _col("within_calendar"), "the date lies outside the exchange's known calendar"),
    Rule("not_a_session", _col("closes_at").is_not_null() | ~_col("within_calendar"), "the exchange was closed on that date"),
    Rule("from_the_future", _over_on_arrival(_col("closes_at")), "the session was not over when the file arrived"),
)

_NEIGHBOURS = (
    Rule(
        "stale_session",
        ~_col("stale"),
        "the session's bars are those of another recent one, exact, rounded or but for one figure: an old session delivered again",
    ),
    Rule(
        "out_of_line",
        _col("in_line"),
        "the price is over 20 times off the sessions beside it, or two of these contradict it: the session before, the one after, "
        "the stored bar, the day's minutes, the next file's previous close; no action explains it: a scaling error, or a split to "
        "record",
    ),
)

_BASIS = (
    Rule(
        "already_adjusted",
        _col("in_traded_basis"),
        "the file's prices contain an action that is on record and would be applied to them again (price_basis in raw_files): "
        "deliver prices as traded, or say with price_basis=as_traded that they are",
    ),
)

_TRADED_VALUE = (
    Rule(
        "average_price_outside_range",
        _col("turnover").is_between(
            _col("volume") * (_col("low") - _PRICE_ROUNDING) - _TURNOVER_ROUNDING,
            _col("volume") * (_col("high") + _PRICE_ROUNDING) + _TURNOVER_ROUNDING,
        ),
        "turnover over volume lies outside low to high: another unit, or a damaged column",
    ),
)

_COUNTS = (
    Rule(
        "implausible_count",
        pl.all_horizontal(
            _col(c).is_null() | ((_col(c) == _col(c).floor()) & _col(c).is_between(0, MOST_VOLUME))
            for c in ("trades", "delivery_qty")
        ),
        f"trades or delivered units are negative, fractional or above {MOST_VOLUME:,}",
    ),
)

_MINUTE = (
    Rule("missing_time", _col("ts").is_not_null(), "no time"),
    Rule("beyond_calendar", _col("within_calendar"), "the time lies outside the exchange's known calendar"),
    Rule("off_the_minute", _col("ts") == _col("ts").dt.truncate("1m"), "the time is not at a full minute"),
    Rule(
        "outside_session",
        _col("segment").is_not_null() | ~_col("within_calendar"),
        "the time lies outside the regular session and the extended windows",
    ),
    Rule("from_the_future", _over_on_arrival(_col("ts") + pl.duration(minutes=1)), "the minute was not over when the file arrived"),
)

_ACTIONS = (
    *_READABLE,
    *_ACTION_SYMBOLS,
    Rule("missing_date", _col("ex_date").is_not_null(), "no ex-date"),
    Rule("missing_ratio", _col("ratio").is_not_null() | ~_col("action").is_in(_BY_RATIO), "no ratio: new shares per old share"),
    Rule("missing_amount", _col("amount").is_not_null() | (_col("action") != "dividend"), "no amount: cash per share"),
    Rule("non_positive_ratio", _col("ratio") > 0, "the ratio is zero or negative"),
    Rule(
        "implausible_ratio",
        _col("ratio").is_between(1 / _MOST_RATIO, _MOST_RATIO) | (_col("ratio") <= 0),
        f"the ratio is above {_MOST_RATIO:,} or below its inverse",
    ),
    Rule("non_positive_amount", _col("amount") > 0, "the amount is zero or negative"),
    Rule("identity_ambiguous", ~_col("ambiguous"), "the symbol belongs to more than one instrument on that day"),
    Rule(
        "already_in_prices",
        _col("in_traded_basis"),
        "the stored bars before the ex-date came adjusted for it (price_basis in raw_files) and would be adjusted again: withdraw "
        "their delivery and ingest prices as traded, then release this row",
    ),
)

#: Rules by table, in the order in which a row's first fault names it.
ROW_RULES: dict[str, tuple[Rule, ...]] = {
    "bars_daily": (*_READABLE, *_SYMBOL, *_DAILY, *_VALUES, *_COUNTS, *_TRADED_VALUE, *_NEIGHBOURS, *_BASIS),
    "bars_1m": (*_READABLE, *_SYMBOL, *_MINUTE, *_VALUES, *_NEIGHBOURS, *_BASIS),
    "corporate_actions": _ACTIONS,
}


#: Rules that no decision can overrule, because the lake has no place for a row that breaks one.
FINAL = frozenset(
    {
        "missing_symbol",
        "malformed_symbol",
        "missing_price",
        "infinite_price",
        "implausible_price",
        "missing_volume",
        "fractional_volume",
        "implausible_volume",
        "implausible_count",
        "implausible_ratio",
        "missing_date",
        "missing_time",
        "beyond_calendar",
        "not_a_session",
        "off_the_minute",
        "outside_session",
    }
)


def judge(table: str, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split rows into good ones and bad ones.

    `rows` has the columns that the table's rules name. Bad rows come with `rule` (the first one broken) and `reason` (all of them).
    A rule in the row's list `overrules`, where there is such a column, does not count for it.
    """
    faults = _faults(table, rows)
    if "overrules" in rows.columns and faults.height:
        overrules = rows.lazy().select("overrules").with_row_index("index").with_columns(pl.col("index").cast(pl.Int64)).collect()
        faults = faults.join(overrules, on="index", how="left", maintain_order="left")
        faults = faults.filter(~pl.col("overrules").list.contains(pl.col("check")).fill_null(value=False)).drop("overrules")
    if faults.is_empty():
        return rows, rows.clear().with_columns(rule=pl.lit(None, pl.String), reason=pl.lit(None, pl.String))
    order = {rule.name: position for position, rule in enumerate(ROW_RULES[table])}
    words = {rule.name: rule.reason for rule in ROW_RULES[table]}
    named = (
        faults.with_columns(
            pl.col("check").replace_strict(order, return_dtype=pl.Int64).alias("__order"),
            pl.col("check").replace_strict(words, return_dtype=pl.String).alias("__words"),
        )
        .sort("index", "__order")
        .group_by("index", maintain_order=True)
        .agg(pl.col("check").first().alias("rule"), pl.col("__words").str.join("; ").alias("reason"))
    )
    indexed = rows.with_row_index("index").with_columns(pl.col("index").cast(pl.Int64))
    bad = indexed.join(named, on="index", how="inner", maintain_order="left").drop("index")
    if "parse_problem" in bad.columns:
        bad = bad.with_columns(pl.when(pl.col("parse_problem").is_null()).then("reason").otherwise("parse_problem").alias("reason"))
    return indexed.join(named, on="index", how="anti", maintain_order="left").drop("index"), bad


def _faults(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Broken rules by row: columns `index` (position in `rows`) and `check`."""
    none = pl.DataFrame(schema={"index": pl.Int64, "check": pl.String})
    # Most deliveries are sound: one pass over all rules says so, and pandera names what is not.
    if rows.select(pl.all_horizontal(rule.holds.fill_null(value=True) for rule in ROW_RULES[table]).all()).item():
        return none
    import pandera.polars as pa

    try:
        _contract(table).validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        return error.failure_cases.select(pl.col("index").cast(pl.Int64), pl.col("check"))
    return none


@cache
def _contract(table: str):  # type: ignore[no-untyped-def]  # pandera is imported only where rows are judged
    import pandera.polars as pa

    checks = [
        pa.Check(lambda data, holds=rule.holds: data.lazyframe.select(holds.fill_null(value=True)), name=rule.name)
        for rule in ROW_RULES[table]
    ]
    return pa.DataFrameSchema(checks=checks)
