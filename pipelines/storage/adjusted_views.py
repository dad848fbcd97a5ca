"""Views in today's price basis: bars and indicators adjusted for the corporate actions that came after them.

Lives here: the SQL of `price_factors`, `bars_daily_adjusted` and `indicators_daily_adjusted` on a catalogue's relations.
Does not live here: stored bars and indicators, which stay as traded on their day; rescaling carried state (`indicators/engine.py`).

A factor holds from one ex-date to the day before the next: what a price of that interval is multiplied by to be comparable with
the newest one. Nothing of this is stored, since every new action would change all of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from pipelines.market.schema import TableSchema
from pipelines.market.tables.views import ADJUSTED_PRICES, PRICE_FACTORS, adjusted, with_factors
from pipelines.storage.relations import quoted

# Actions whose ex-date lies beyond the newest session of the exchange do not belong to today's basis yet. A dividend is a factor of
# the last close before it: 1 - amount / close, as CRSP and Lean do it. Without that close it cannot be one, and is left out. Its
# amount is per share as it trades on the ex-date, so that a split of the same day makes it that many times as much of the old
# share's price.
_FACTORS = """
CREATE VIEW price_factors AS
WITH newest AS (
    SELECT exchange, max(session_date) AS session_date FROM bars_daily GROUP BY exchange
),
due AS (
    SELECT a.exchange, a.instrument_id, a.ex_date, a.action, a.ratio, a.amount
    FROM corporate_actions AS a JOIN newest USING (exchange)
    WHERE a.ex_date <= newest.session_date
),
splits AS (
    SELECT exchange, instrument_id, ex_date, product(ratio ORDER BY ratio) AS shares
    FROM due WHERE action IN ('split', 'bonus', 'capital_reduction') AND ratio > 0 GROUP BY ALL
),
dividends AS (
    SELECT due.exchange, due.instrument_id, due.ex_date, 1 - due.amount * coalesce(splits.shares, 1.0) / bars.close AS factor
    FROM due
    LEFT JOIN splits USING (exchange, instrument_id, ex_date)
    ASOF JOIN (SELECT exchange, instrument_id, session_date, close FROM bars_daily) AS bars
        ON due.exchange = bars.exchange AND due.instrument_id = bars.instrument_id AND due.ex_date > bars.session_date
    WHERE due.action = 'dividend' AND due.amount > 0 AND due.amount * coalesce(splits.shares, 1.0) < bars.close
),
steps AS (
    SELECT exchange, instrument_id, ex_date, 1 / ratio AS split, 1.0::DOUBLE AS demerger, 1.0::DOUBLE AS dividend
    FROM due WHERE action IN ('split', 'bonus', 'capital_reduction') AND ratio > 0
    UNION ALL
    SELECT exchange, instrument_id, ex_date, 1.0, ratio, 1.0 FROM due WHERE action IN ('demerger', 'rights') AND ratio > 0
    UNION ALL
    SELECT exchange, instrument_id, ex_date, 1.0, 1.0, factor FROM dividends
),
days AS (
    SELECT exchange, instrument_id, ex_date,
        product(split ORDER BY split) AS split,
        product(demerger ORDER BY demerger) AS demerger,
        product(dividend ORDER BY dividend) AS dividend
    FROM steps GROUP BY exchange, instrument_id, ex_date
)
SELECT
    exchange,
    instrument_id,
    lag(ex_date) OVER whole AS from_session,
    ex_date AS before_session,
    product(split) OVER later AS split_factor,
    product(demerger) OVER later AS demerger_factor,
    product(dividend) OVER later AS dividend_factor
FROM days
WINDOW
    whole AS (PARTITION BY exchange, instrument_id ORDER BY ex_date),
    later AS (PARTITION BY exchange, instrument_id ORDER BY ex_date DESC)
"""

_JOIN = """
FROM {table} AS raw
ASOF LEFT JOIN price_factors AS f
    ON raw.exchange = f.exchange AND raw.instrument_id = f.instrument_id AND raw.session_date < f.before_session
"""

_SPLIT = "coalesce(f.split_factor, 1.0)"
_DEMERGER = "coalesce(f.demerger_factor, 1.0)"
_DIVIDEND = "coalesce(f.dividend_factor, 1.0)"
_PRICE = f"({_SPLIT} * {_DEMERGER})"


def create_adjusted_views(
    connection: duckdb.DuckDBPyConnection, bars: TableSchema, indicators: TableSchema
) -> tuple[TableSchema, ...]:
    """Create the views beside the tables of daily `bars`, of corporate actions and of `indicators`; return their schemas."""
    connection.execute(_FACTORS)
    _create(connection, adjusted(bars), bars.name, dict.fromkeys(ADJUSTED_PRICES, "price") | {"volume": "volume"})
    units = {column.name: column.unit or "" for column in indicators.columns}
    _create(connection, with_factors(indicators), indicators.name, units)
    return PRICE_FACTORS, adjusted(bars), with_factors(indicators)


def _create(connection: duckdb.DuckDBPyConnection, view: TableSchema, table: str, units: Mapping[str, str]) -> None:
    columns = [f"{_expression(name, units.get(name))} AS {quoted(name)}" for name in view.names]
    connection.execute(f"CREATE VIEW {quoted(view.name)} AS SELECT {', '.join(columns)} {_JOIN.format(table=quoted(table))}")


def _expression(name: str, unit: str | None) -> str:
    if name.endswith("_factor"):
        return f"coalesce(f.{name}, 1.0)"
    if name == "close_total_return":
        return f"raw.close * {_PRICE} * {_DIVIDEND}"
    if unit == "price":
        return f"raw.{quoted(name)} * {_PRICE}"
    return f"raw.{quoted(name)} / {_SPLIT}" if unit == "volume" else f"raw.{quoted(name)}"
