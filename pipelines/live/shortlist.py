"""The shortlist of a day: what the signals of the close before it single out, ranked.

Lives here: `shortlist`.
Does not live here: the signals themselves (the nightly marts), scanning the list at a cut-off (`as_of.py`).
"""

from __future__ import annotations

import polars as pl

from pipelines.live.scan import LiveScanError
from pipelines.market.calendar import Session, calendar
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release

_LIQUIDITY_SESSIONS = 20


def shortlist(lake: Lake, exchange: str, release: Release, close: Session, top: int) -> pl.DataFrame:
    """The `top` instruments of one close, best first.

    Columns: rank, instrument_id, symbol, side, signals (scanners that say so), against (scanners that say the opposite), scanners
    (their names), score (mean), traded_value (median close × volume of the 20 regular sessions up to the close, in the exchange's
    currency). Ranked by signals less against, score, traded_value. Raises LiveScanError when that close is not in the release.
    """
    versions = release.versions(exchange)
    day = close.session_date

    def read(name: str, years: list[int]) -> pl.DataFrame:
        return LakeTable(lake.table_uri(exchange, name), TABLES[name]).read(versions[name], list(years))

    newest = release.sessions.get(exchange)
    if not newest or "scanner_runs" not in versions or _not_scanned(read("scanner_runs", [day.year]), close):
        told = f"ends with {newest[1]}" if newest else "holds nothing of it"
        raise LiveScanError(f"the signals of {day} are not released ({release.release_id} {told}): run `marketlake nightly` first")
    at_close = read("scanner_signals", [day.year]).filter(pl.col("ts") == close.closes_at)
    by_side = (
        at_close.group_by("instrument_id", "symbol", "signal_type")
        .agg(
            pl.col("scanner_name").n_unique().cast(pl.Int64).alias("signals"),
            pl.col("scanner_name").unique().sort().str.join(", ").alias("scanners"),
            pl.col("confidence_score").mean().alias("score"),
        )
        .rename({"signal_type": "side"})
    )
    other = by_side.select("instrument_id", "side", against="signals")
    opposite = other.with_columns(side=pl.when(pl.col("side") == "BUY").then(pl.lit("SELL")).otherwise(pl.lit("BUY")))
    ranked = (
        by_side.join(opposite, on=["instrument_id", "side"], how="left")
        .with_columns(pl.col("against").fill_null(0))
        .filter(pl.col("signals") > pl.col("against"))
        .join(_traded_value(read("bars_daily", [day.year - 1, day.year]), exchange, close), on="instrument_id", how="left")
        .sort(
            pl.col("signals") - pl.col("against"),
            "score",
            "traded_value",
            "instrument_id",
            descending=[True, True, True, False],
            nulls_last=True,
        )
        .head(top)
    )
    columns = ["instrument_id", "symbol", "side", "signals", "against", "scanners", "score", "traded_value"]
    return ranked.select(columns).with_row_index("rank", offset=1).with_columns(pl.col("rank").cast(pl.Int64))


def _not_scanned(runs: pl.DataFrame, close: Session) -> bool:
    return runs.filter((pl.col("mode") == "nightly") & (pl.col("as_of_ts") == close.closes_at)).is_empty()


def _traded_value(bars: pl.DataFrame, exchange: str, close: Session) -> pl.DataFrame:
    """Median of close × volume over the regular sessions up to the close; a session without a trade counts as nothing."""
    sessions = [s for s in calendar(exchange).sessions if s.session_date <= close.session_date and s.kind == "regular"]
    days = [s.session_date for s in sessions[-_LIQUIDITY_SESSIONS:]]
    traded = bars.filter(pl.col("session_date").is_in(days)).with_columns(value=pl.col("close") * pl.col("volume"))
    grid = traded.select("instrument_id").unique().join(pl.DataFrame({"session_date": days}), how="cross")
    filled = grid.join(traded, on=["instrument_id", "session_date"], how="left").with_columns(pl.col("value").fill_null(0.0))
    return filled.group_by("instrument_id").agg(pl.col("value").median().alias("traded_value"))
