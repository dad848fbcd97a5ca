"""Small tables of bars for the storage tests."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame

Row = tuple[str, date, float]


@pytest.fixture(scope="session")
def daily() -> Callable[..., pl.DataFrame]:
    """Daily bars as staging hands them over: rows of (ticker, session, close), of one source, batch and arrival."""

    def frame(
        *rows: Row,
        source: str = "csv",
        batch: str = "b1",
        received_at: datetime = datetime(2025, 1, 1, tzinfo=UTC),
        exchange: str = "XNYS",
    ) -> pl.DataFrame:
        values = [
            {
                "exchange": exchange,
                "instrument_id": f"{exchange}:{ticker}",
                "session_date": day,
                "symbol": ticker,
                "open": close,
                "high": close,
                "low": close,
                "close": close,
                "volume": 100,
                "source": source,
                "known_at": datetime(day.year, day.month, day.day, 21, tzinfo=UTC),
                "batch_id": batch,
                "row_number": number,
                "session_year": day.year,
            }
            for number, (ticker, day, close) in enumerate(rows, start=1)
        ]
        schema = dict(empty_frame(TABLES["bars_daily"]).schema)
        return pl.DataFrame(values, schema=schema).with_columns(received_at=pl.lit(received_at, pl.Datetime("us", "UTC")))

    return frame


@pytest.fixture(scope="session")
def minutes() -> Callable[..., pl.DataFrame]:
    """One-minute bars: rows of (ticker, start in UTC, close)."""

    def frame(
        *rows: tuple[str, datetime, float], batch: str = "b1", received_at: datetime = datetime(2025, 1, 1, tzinfo=UTC)
    ) -> pl.DataFrame:
        values = [
            {
                "exchange": "XNYS",
                "instrument_id": f"XNYS:{ticker}",
                "ts": ts,
                "symbol": ticker,
                "session_date": ts.date(),
                "open": close,
                "high": close,
                "low": close,
                "close": close,
                "volume": 10,
                "source": "csv",
                "known_at": ts + timedelta(minutes=1),
                "batch_id": batch,
                "row_number": number,
            }
            for number, (ticker, ts, close) in enumerate(rows, start=1)
        ]
        schema = dict(empty_frame(TABLES["bars_1m"]).schema)
        return pl.DataFrame(values, schema=schema).with_columns(received_at=pl.lit(received_at, pl.Datetime("us", "UTC")))

    return frame
