"""A Lean data folder as a whole against its own files: whose every daily bar, split and dividend is.

The expected company of each bar is read from the map files here, by Lean's rule alone: rows after the first say until which day a
ticker was used.
"""

from __future__ import annotations

import io
import zipfile
from bisect import bisect_left
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tests.support.pipeline import Pipeline, make_home

pytestmark = pytest.mark.slow


def companies(folder: Path) -> dict[str, tuple[date, list[tuple[date, str]]]]:
    """First day and (last day, ticker) rows by the name of the map file."""
    found = {}
    for path in sorted((folder / "map_files").glob("*.csv")):
        rows = [(date.fromisoformat(line.split(",")[0]), line.split(",")[1].strip().upper()) for line in path.read_text().split()]
        found[path.stem.upper()] = (rows[0][0], rows[1:])
    return found


def company_of(histories, ticker: str, day: date) -> str | None:
    for name, (first, rows) in histories.items():
        place = bisect_left([last for last, _ in rows], day)
        if first <= day and place < len(rows) and rows[place][1] == ticker:
            return name
    return None


def daily_bars(folder: Path) -> dict[tuple[str, date], float]:
    """Close by (ticker, day) of every daily file."""
    found = {}
    for path in sorted((folder / "daily").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            text = io.TextIOWrapper(archive.open(archive.namelist()[0])).read()
        for line in text.split("\n"):
            if line.strip():
                moment, _, _, _, close, _ = line.split(",")
                found[path.stem.upper(), date.fromisoformat(moment[:8])] = int(close) / 10_000
    return found


@pytest.fixture(scope="module")
def folder(shared) -> Path:
    return shared / "data" / "lean" / "equity" / "usa"


@pytest.fixture(scope="module", params=["bars first", "histories first", "together"])
def lake_of_folder(request, tmp_path_factory, folder) -> Iterator[Pipeline]:
    paths = [path for kind in ("daily", "map_files", "factor_files") for path in sorted((folder / kind).iterdir())]
    with pytest.MonkeyPatch.context() as patch:
        pipeline = Pipeline(make_home(tmp_path_factory.mktemp("lean") / "home", patch))
        files = [pipeline.deliver(str(path.relative_to(folder)), path.read_bytes(), source="lean") for path in paths]
        bars = [file for file in files if file.name.startswith("daily/")]
        others = [file for file in files if file not in bars]
        for step in {"bars first": [bars, others], "histories first": [others, bars], "together": [files]}[request.param]:
            pipeline.ingest(*step)
        yield pipeline


def test_every_bar_is_its_companys_and_no_company_has_anothers(lake_of_folder, folder) -> None:
    histories, closes = companies(folder), daily_bars(folder)
    stored = lake_of_folder.rows("bars_daily").select("symbol", "session_date", "close", "instrument_id").rows()
    quarantined = lake_of_folder.rows("quarantine").filter(pl.col("table_name") == "bars_daily")
    assert len(stored) + quarantined.height == len(closes)
    assert "identity_ambiguous" not in set(lake_of_folder.rows("quarantine")["rule"])
    holders: dict[str | None, set[str]] = {}
    for symbol, day, close, instrument in stored:
        assert close == pytest.approx(closes[symbol, day], abs=1e-9)
        company = company_of(histories, symbol, day)
        holders.setdefault(company or f"not {symbol}", set()).add(instrument)
    assert all(len(instruments) == 1 for instruments in holders.values()), holders
    assert len({next(iter(instruments)) for instruments in holders.values()}) == len(holders)
    assert holders["not EEM"] == {"XNYS:EEM:1998-01-06"}
    assert holders["GOOGL"] != holders["GOOG"]


def test_tickers_on_record_are_those_of_the_map_files(lake_of_folder, folder) -> None:
    rows = lake_of_folder.rows("instrument_aliases").filter(pl.col("kind") == "symbol")
    held = rows.filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    stated = {
        (f"XNYS:{name}", ticker, None if last.year == 2050 else last)
        for name, (_, rows) in companies(folder).items()
        for last, ticker in rows
    }
    beside = {("XNYS:EEM:1998-01-06", "EEM", date(2003, 4, 10))}
    assert set(held.select("instrument_id", "value", "valid_to").rows()) == stated | beside


def test_actions_are_those_of_the_company_of_their_factor_file(lake_of_folder, folder) -> None:
    files = lake_of_folder.rows("raw_files").select("batch_id", "name")
    actions = lake_of_folder.rows("corporate_actions").join(files, on="batch_id", how="left")
    by_file = actions.group_by("name").agg(pl.col("instrument_id").unique()).rows()
    assert by_file
    for name, instruments in by_file:
        assert instruments == [f"XNYS:{Path(name).stem.upper()}"]
