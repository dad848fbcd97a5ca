"""The shortlist of a day: what the signals of the close before it single out, ranked by their confluence.

Lives here: `shortlist`.
Does not live here: the signals themselves (the nightly marts), scanning the list at a cut-off (`as_of.py`).
"""

from __future__ import annotations

import polars as pl

from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.live.scan_store import LiveScanError
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.session import Session
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release

_LIQUIDITY_SESSIONS = 20


def shortlist(lake: Lake, exchange: str, release: Release, close: Session, top: int) -> pl.DataFrame:
    """The `top` instruments of one close, best first.

    Columns: rank, instrument_id, symbol, side, agreeing and disagreeing (scanners), scanners (names of those that agree), regime,
    score (`combined_score` of the table confluence), traded_value (median close × volume of the 20 regular sessions up to the
    close, in the exchange's currency). Ranked by score, then traded_value; an instrument on which as many disagree as agree is left
    out. Raises LiveScanError when that close is not in the release.
    """
    versions = release.versions(exchange)
    day = close.session_date

    def read(name: str, years: list[int]) -> pl.DataFrame:
        return LakeTable(lake.table_uri(exchange, name), TABLES[name]).read(versions[name], list(years))

    newest = release.sessions.get(exchange)
    if not newest or not {"scanner_runs", "confluence"} <= set(versions) or _not_scanned(read("scanner_runs", [day.year]), close):
        newest_state = f"ends with {newest[1]}" if newest else "holds nothing of it"
        raise LiveScanError(
            f"the signals of {day} are not released ({release.release_id} {newest_state}): run `marketlake nightly` "
            f"first, once the daily bars of {day} are ingested"
        )
    ranked = (
        read("confluence", [day.year])
        .filter((pl.col("as_of_ts") == close.closes_at) & (pl.col("agreeing") > pl.col("disagreeing")))
        .join(
            _traded_value(read("bars_daily", [day.year - 1, day.year]), traded_calendar(lake, exchange, versions), close),
            on="instrument_id",
            how="left",
        )
        .sort("combined_score", "traded_value", "instrument_id", descending=[True, True, False], nulls_last=True)
        .head(top)
        .with_row_index("rank", offset=1)
    )
    return ranked.select(
        pl.col("rank").cast(pl.Int64),
        "instrument_id",
        "symbol",
        side="signal_type",
        agreeing="agreeing",
        disagreeing="disagreeing",
        scanners="agreeing_scanners",
        regime="regime",
        score="combined_score",
        traded_value="traded_value",
    )


def _not_scanned(runs: pl.DataFrame, close: Session) -> bool:
    return runs.filter((pl.col("mode") == "nightly") & (pl.col("as_of_ts") == close.closes_at)).is_empty()


def _traded_value(bars: pl.DataFrame, days_of: ExchangeCalendar, close: Session) -> pl.DataFrame:
    """Median of close × volume over the regular sessions up to the close; a session without a trade counts as nothing."""
    sessions = [s for s in days_of.sessions if s.session_date <= close.session_date and s.kind == "regular"]
    days = [s.session_date for s in sessions[-_LIQUIDITY_SESSIONS:]]
    traded = bars.filter(pl.col("session_date").is_in(days)).with_columns(value=pl.col("close") * pl.col("volume"))
    grid = traded.select("instrument_id").unique().join(pl.DataFrame({"session_date": days}), how="cross")
    filled = grid.join(traded, on=["instrument_id", "session_date"], how="left").with_columns(pl.col("value").fill_null(0.0))
    return filled.group_by("instrument_id").agg(pl.col("value").median().alias("traded_value"))
