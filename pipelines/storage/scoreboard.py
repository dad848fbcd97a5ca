"""The scoreboard: every scanner and every backtest after costs, beside its base rate.

Lives here: its SQL, as a view of a catalogue and as a question to the lake's newest tables.
Does not live here: the figures (`backtest/`), its page (`reports/scoreboard.py`). It can be no dbt model: what it reads
follows from the signals that dbt makes.
"""

from __future__ import annotations

import duckdb
import polars as pl

from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.market.tables.views import SCOREBOARD
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: Tables that the scoreboard follows from.
READ = ("scanner_performance", "backtest_runs", "backtest_trades", "backtest_verdicts")

_SQL = """
WITH trades AS (
    SELECT
        run_id,
        avg(CASE WHEN pnl > 0 THEN 1.0 ELSE 0.0 END)::DOUBLE AS win_rate,
        sum(greatest(pnl, 0.0) ORDER BY trade_number) / nullif(-sum(least(pnl, 0.0) ORDER BY trade_number), 0.0) AS profit_factor
    FROM backtest_trades GROUP BY run_id
),
scanners AS (
    SELECT
        exchange, 'scanner' AS kind, scanner_name AS name, scanner_name AS scanners, horizon, '' AS run_id,
        total_signals AS outcomes, win_rate, base_rate, edge, edge_q_value, avg_return, NULL::DOUBLE AS total_return, base_return,
        profit_factor, NULL::DOUBLE AS sharpe_ratio, NULL::DOUBLE AS deflated_sharpe, NULL::VARCHAR AS verdict,
        NULL::VARCHAR AS sentence
    FROM scanner_performance WHERE side = 'ALL' AND scope = 'all'
),
strategies AS (
    SELECT
        r.exchange, 'strategy' AS kind, r.algorithm_name AS name, r.scanner_used AS scanners, 'portfolio' AS horizon, r.run_id,
        r.trades AS outcomes, t.win_rate, v.base_win_rate AS base_rate, t.win_rate - v.base_win_rate AS edge,
        NULL::DOUBLE AS edge_q_value, NULL::DOUBLE AS avg_return, r.total_return, v.base_return, t.profit_factor, r.sharpe_ratio,
        r.deflated_sharpe, v.verdict, v.sentence
    FROM backtest_runs AS r LEFT JOIN trades AS t USING (run_id) LEFT JOIN backtest_verdicts AS v USING (run_id)
)
SELECT * FROM scanners UNION ALL SELECT * FROM strategies
"""


def create_scoreboard_view(connection: duckdb.DuckDBPyConnection) -> TableSchema:
    """Create the view beside the tables of a catalogue; returns its schema."""
    connection.execute(f"CREATE VIEW {SCOREBOARD.name} AS {_SQL}")
    return SCOREBOARD


def read_scoreboard(lake: Lake, exchange: str) -> pl.DataFrame:
    """The scoreboard of an exchange by the newest versions of its tables, in the order of its key."""
    with duckdb.connect() as connection:
        for name in READ:
            rows = LakeTable(lake.table_uri(exchange, name), TABLES[name]).read()
            connection.register(name, rows.to_arrow())
        return connection.sql(f"SELECT * FROM ({_SQL}) ORDER BY {', '.join(SCOREBOARD.key)}").pl()
