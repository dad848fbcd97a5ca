"""The parquet source on small files, one scenario each."""

from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipelines.sources.parquet import ParquetSource
from pipelines.sources.protocol import FRAME_SCHEMAS, ParsedTable, ParseOptions, RawFile, SourceError

KOLKATA = "Asia/Kolkata"
OHLCV = {"open": [10.0, 10.5], "high": [11.0, 11.5], "low": [9.5, 10.0], "close": [10.5, 11.0], "volume": [100, 200]}
DAYS = [date(2024, 1, 2), date(2024, 1, 3)]
#: As written by a vendor: local, without a zone.
MINUTES = [datetime.combine(DAYS[0], time(9, minute)) for minute in (15, 16)]


def parse(folder: Path, columns: dict[str, object] | bytes, *, name: str = "x/acme.parquet", **options) -> ParsedTable:
    path = folder / "received"
    if isinstance(columns, bytes):
        path.write_bytes(columns)
    else:
        pl.DataFrame(columns).write_parquet(path)
    (table,) = ParquetSource().parse(RawFile(path, name, ""), ParseOptions("XNSE", KOLKATA, **options))
    assert dict(table.frame.schema) == dict(FRAME_SCHEMAS[table.table])
    return table


def test_a_date_column_makes_daily_bars_named_by_the_file(tmp_path: Path) -> None:
    table = parse(tmp_path, {"date": DAYS, **OHLCV})
    assert table.table == "bars_daily"
    assert table.frame.select("row_number", "symbol", "session_date", "open", "close", "volume").rows() == [
        (1, "ACME", DAYS[0], 10.0, 10.5, 100.0),
        (2, "ACME", DAYS[1], 10.5, 11.0, 200.0),
    ]


@pytest.mark.parametrize(
    "moments",
    [
        MINUTES,
        [m.replace(tzinfo=ZoneInfo(KOLKATA)) for m in MINUTES],
        [m.replace(tzinfo=ZoneInfo(KOLKATA)).astimezone(UTC) for m in MINUTES],
        [m.isoformat() for m in MINUTES],
        [int(m.replace(tzinfo=ZoneInfo(KOLKATA)).timestamp()) for m in MINUTES],
    ],
    ids=["local", "zoned", "utc", "text", "epoch"],
)
def test_minutes_are_the_same_instants_however_the_column_is_typed(tmp_path: Path, moments: list[object]) -> None:
    table = parse(tmp_path, {"symbol": ["acme"] * 2, "ts": moments, **OHLCV})
    assert table.table == "bars_1m"
    assert table.frame["ts"].to_list() == [datetime(2024, 1, 2, 3, 45, tzinfo=UTC), datetime(2024, 1, 2, 3, 46, tzinfo=UTC)]
    assert table.frame["symbol"].unique().to_list() == ["ACME"]


def test_midnights_in_the_exchange_s_zone_are_days_though_stored_in_utc(tmp_path: Path) -> None:
    midnights = [datetime(d.year, d.month, d.day, tzinfo=ZoneInfo(KOLKATA)).astimezone(UTC) for d in DAYS]
    assert parse(tmp_path, {"ts": midnights, **OHLCV}).frame["session_date"].to_list() == DAYS


def test_columns_of_any_name_are_told_by_options(tmp_path: Path) -> None:
    odd = {"bar": DAYS, "erster": OHLCV["open"], "hoch": OHLCV["high"], "tief": OHLCV["low"], "zuletzt": OHLCV["close"]}
    extra = {
        "column.moment": "bar",
        "column.open": "erster",
        "column.high": "hoch",
        "column.low": "tief",
        "column.close": "zuletzt",
    }
    assert parse(tmp_path, odd, extra=extra).frame["close"].to_list() == OHLCV["close"]
    swapped = {"date": DAYS, **OHLCV, "adjusted": [1.0, 2.0]}
    assert parse(tmp_path, swapped, extra={"column.close": "adjusted"}).frame["close"].to_list() == [1.0, 2.0]


def test_whole_number_prices_are_unscaled_to_the_nearest_double(tmp_path: Path) -> None:
    scaled = {name: [948500, 948500] for name in ("open", "high", "low", "close")}
    assert parse(tmp_path, {"date": DAYS, **scaled}, extra={"price_scale": "10000"}).frame["close"].to_list() == [94.85, 94.85]


def test_what_cannot_be_read_is_null_named_and_kept(tmp_path: Path) -> None:
    columns = {"symbol": ["A", ""], "date": [None, DAYS[1]], **OHLCV, "close": [float("nan"), None], "venue": ["x", "y"]}
    frame = parse(tmp_path, columns).frame
    assert frame["parse_problem"].to_list() == ["close: 'NaN' is not a number; date: empty", "close: empty; symbol: empty"]
    assert frame["close"].to_list() == [None, None]
    assert '"venue":"x"' in frame["raw_text"][0]


def test_the_project_s_own_rows_come_back_as_they_went_out(tmp_path: Path) -> None:
    own = {
        "exchange": ["XNSE"] * 2,
        "instrument_id": ["XNSE:ACME"] * 2,
        "ts": [datetime(2024, 1, 2, 3, 45, tzinfo=UTC), datetime(2024, 1, 2, 3, 46, tzinfo=UTC)],
        "symbol": ["ACME"] * 2,
        "session_date": [DAYS[0]] * 2,
        **OHLCV,
        "known_at": [datetime(2024, 1, 2, 3, 46, tzinfo=UTC)] * 2,
    }
    table = parse(tmp_path, own)
    assert (table.table, table.frame["ts"].to_list()) == ("bars_1m", own["ts"])
    with pytest.raises(SourceError, match=r"column exchange: holds rows of XNYS, not of XNSE"):
        parse(tmp_path, {**own, "exchange": ["XNYS"] * 2})


@pytest.mark.parametrize(
    ("columns", "extra", "says"),
    [
        (b"no parquet", {}, "no readable Parquet file"),
        ({"date": [], "open": [], "high": [], "low": [], "close": []}, {}, "holds no row"),
        ({"date": DAYS, "open": [1.0, 1.0]}, {}, "no column for high, low, close"),
        ({"date": DAYS, **OHLCV}, {"column.open": "o"}, "no such column; it has date, open"),
        ({"date": DAYS, **OHLCV}, {"column.open": "high", "column.high": "high"}, "same column"),
        ({"date": DAYS, **OHLCV}, {"columns.open": "open"}, "did you mean column.open"),
        ({"date": DAYS, **OHLCV, "open": [True, False]}, {}, "column 'open': is Boolean, which is no open"),
        ({"date": ["03/04/2024", "05/06/2024"], **OHLCV}, {}, "may be day first or month first"),
        ({"date": [None, None], **OHLCV}, {}, "no row has a|no date"),
        ({"ts": [datetime.combine(DAYS[0], time(9, minute)) for minute in (15, 20)], **OHLCV}, {}, "0:05:00 apart"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, columns: dict[str, object], extra: dict[str, str], says: str) -> None:
    with pytest.raises(SourceError, match=says) as error:
        parse(tmp_path, columns, extra=extra)
    assert str(error.value).startswith("x/acme.parquet")


def test_parquet_files_are_claimed_by_their_ending() -> None:
    assert [ParquetSource().claims(n) for n in ("a/b.parquet", "B.PARQUET", "b.pq", "b.csv")] == [True, True, True, False]


def test_another_exchange_s_udiff_is_refused_by_its_own_column(tmp_path: Path) -> None:
    columns = {"TradDt": DAYS, "TckrSymb": ["ACME"] * 2, "OpnPric": [10.0] * 2, "HghPric": [11.0] * 2, "LwPric": [9.0] * 2}
    closes = {"ClsPric": [10.5] * 2, "TtlTradgVol": [100, 200]}
    assert parse(tmp_path, {**columns, **closes, "Src": ["NSE", "NSE"]}).frame.height == 2
    with pytest.raises(SourceError, match=r"row 2, column Src: published by BSE, which is XBOM, not XNSE"):
        parse(tmp_path, {**columns, **closes, "Src": ["NSE", "BSE"]})
