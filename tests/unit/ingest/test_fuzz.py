"""Dirty files of any kind: no row is lost, nothing but a named refusal comes out, whatever a vendor writes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipelines.market.tables import TABLES

_DATES = st.sampled_from(
    [
        "2024-01-02",
        "2024-01-03",
        "03/01/2024",
        "01/13/2024",
        "31-Dec-2025",
        "20240102",
        "1704205800",
        "1704205800000",
        "1970-01-01",
        "1970-01-01 05:30:00",
        "2024-01-06",  # a Saturday
        "2024-13-45",
        "2199-01-01",
        "0001-01-01",
        "2024-01-02 09:30",
        "2024-01-02 09:31",
        "2024-01-02 09:31:17",
        "2024-01-02T16:30:00+05:30",
        "2024-03-10 02:30",  # an hour that New York's clocks skip
        "2024-11-03 01:30",  # one they have twice
        "",
        "-",
        "yesterday",
    ]
)
_NUMBERS = st.one_of(
    st.sampled_from(
        [
            "100",
            "100.5",
            "99",
            "101",
            "10000",
            "0",
            "-5",
            "",
            "-",
            "nan",
            "inf",
            "1e400",
            "1e300",
            "9223372036854775807",
            "1,234.5",
            "12,34,567",
            "ten",
            "1 000",
            "９",
        ]
    ),
    st.floats(90, 110).map(lambda x: f"{x:.2f}"),
)
_SYMBOLS = st.sampled_from(["A", "B", "M&M", "BAJAJ-AUTO", "", " A ", "a", "NULL", "x" * 40, "é", '"Q"', "A;B"])
_SOUND = st.sampled_from(["100,101,99,100.5,1000", "100,101,99,100,0", "50.05,50.10,50.00,50.10,7"]).map(
    lambda text: text.split(",")
)
_VALUES = st.one_of(_SOUND, st.lists(_NUMBERS, min_size=5, max_size=5))
_DAYS = st.sampled_from(["2024-01-02", "2024-01-03", "2024-01-06", "1970-01-01", "2199-01-01", ""])
_MINUTES = st.sampled_from(
    ["2024-01-02 09:30", "2024-01-02 09:31", "2024-01-02 09:31:17", "2024-01-02 21:00", "1970-01-01 05:30", "-"]
)


def _rows(dates: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[str]]]:
    return st.lists(st.tuples(_SYMBOLS, dates, _VALUES).map(lambda row: [row[0], row[1], *row[2]]), min_size=1, max_size=12)


_HEADERS = st.sampled_from(
    [
        "symbol,date,open,high,low,close,volume",
        "symbol,date,open,high,low,close,volume",
        "Symbol, Date, Open, High, Low, Close, Volume",
        '"symbol","date","open","high","low","close","volume"',
        "Code,Timestamp,O,H,L,C,V",
        "symbol,date,open,high,low,close",
        "a,b,c",
        "",
    ]
)


@st.composite
def _files(draw: st.DrawFn) -> bytes:
    """A csv of rows, some torn, repeated, quoted or of another width, in some order, line end and encoding."""
    separator = draw(st.sampled_from([",", ",", ",", ";", "\t"]))
    rows = draw(st.one_of(_rows(_DAYS), _rows(_MINUTES), _rows(_DATES)))
    lines = [separator.join(row) for row in rows]
    lines += draw(st.lists(st.sampled_from(lines), max_size=3)) if lines else []
    lines = draw(st.permutations(lines))
    extra = st.sampled_from(["", ",,,,,,", "A,2024-01-02", '"A,2024-01-02', "\ufeff", "Total rows: 5", "A" + "," * 30])
    lines += draw(st.lists(extra, max_size=2))
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join([draw(_HEADERS).replace(",", separator), *lines])
    text += draw(st.sampled_from(["", "\n"]))
    content = text.encode(
        draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-8-sig", "utf-16", "latin-1"])), errors="replace"
    )
    cut = draw(st.sampled_from([0, 0, 0, 1, 5, 17, 40]))
    return content[: len(content) - cut]


@pytest.mark.slow
@examples(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    file=_files(),
    symbol=st.sampled_from([None, "S"]),
    source=st.sampled_from(["csv", "csv", "csv", "csv", "actions", "nse_bhavcopy", "lean"]),
)
@example(file=b"", symbol=None, source="csv")
@example(file=b"symbol,ex_date,action,ratio\nA,2024-01-02,split,2\nA,,split\n", symbol=None, source="actions")
def test_every_row_of_a_dirty_file_is_staged_dropped_as_a_copy_or_set_aside(
    pipeline, tmp_path, file: bytes, symbol: str | None, source: str
) -> None:
    empty = next(tmp_path / str(n) for n in itertools.count() if not (tmp_path / str(n)).exists())
    fresh = replace(pipeline, settings=pipeline.settings.model_copy(update={"home": empty}))
    staged = fresh.stage(fresh.deliver("dirty.csv", file, source=source, symbol=symbol))
    (outcome,) = staged.files
    if outcome.status == "refused":
        assert "dirty.csv" in str(outcome.reason)
        assert all(counts.read == 0 for counts in staged.counts.values())
        return
    told = [name for name in staged.tables if name not in {"instruments", "instrument_aliases"}]
    if source != "actions":  # a rename there is a row of two tables
        assert sum(staged.counts[name].read for name in told) == outcome.rows_read
    for name in told:
        counts, rows = staged.counts[name], staged.tables[name]
        assert counts.read == rows.height + counts.duplicates + counts.quarantined
        assert not rows.select(TABLES[name].key).is_duplicated().any()
        held = staged.quarantine.filter(pl.col("table_name") == name)
        assert held.height == counts.quarantined
        assert held["rule"].null_count() == held["reason"].null_count() == 0
        if name.startswith("bars"):
            assert rows.filter((pl.col("low") <= 0) | (pl.col("high") < pl.col("low")) | (pl.col("volume") < 0)).is_empty()


_CLOCKS = st.sampled_from(
    [
        "2021-04-09 09:15:00",
        "2021-04-09 09:15:00",
        "2021-04-09 09:15:31",
        "2021-04-09 09:14:59",
        "2021-04-09 15:29:59",
        "2021-04-09 15:45:00",
        "2021-04-10 10:00:00",  # a Saturday
        "2021-04-08 10:00:00",
        "1970-01-01 05:30:00",
        "2199-01-01 10:00:00",
        "",
        "noon",
    ]
)
_COUNTS = st.sampled_from(["0", "5", "5", "120", "90", "-3", "2.5", "", "many", "9223372036854775807"])


@st.composite
def _tick_files(draw: st.DrawFn) -> bytes:
    """Snapshots of one share, some repeated, torn or of another width, in any order."""
    lines = draw(st.lists(st.tuples(_CLOCKS, _NUMBERS, _COUNTS).map(",".join), max_size=15))
    lines += draw(
        st.lists(st.sampled_from(["", ",,", "2021-04-09 09:16:00", "2021-04-09 09:16:00,1,2,3", '"', *lines]), max_size=4)
    )
    header = draw(st.sampled_from(["timestamp,ltp,volume", "timestamp,ltp,volume", "Timestamp, LTP, Volume", "a,b,c"]))
    text = "\n".join([header, *draw(st.permutations(lines))]) + draw(st.sampled_from(["", "\n"]))
    cut = draw(st.sampled_from([0, 0, 0, 1, 4, 11]))
    return text.encode()[: len(text.encode()) - cut]


@pytest.mark.slow
@examples(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(file=_tick_files())
def test_every_snapshot_of_a_dirty_recording_is_in_a_minute_or_set_aside(pipeline, tmp_path, file: bytes) -> None:
    empty = next(tmp_path / str(n) for n in itertools.count() if not (tmp_path / str(n)).exists())
    fresh = replace(pipeline, settings=pipeline.settings.model_copy(update={"home": empty}))
    staged = fresh.stage(fresh.deliver("SBIN_09_April.csv", file, source="nse_ticks", mic="XNSE"))
    (outcome,) = staged.files
    if outcome.status == "refused":
        assert "SBIN_09_April.csv" in str(outcome.reason)
        return
    tables = [name for name in staged.tables if name.startswith("bars")]
    assert sum(staged.counts[name].read for name in tables) == outcome.rows_read
    for name in tables:
        counts, rows = staged.counts[name], staged.tables[name]
        assert counts.read == rows.height + counts.duplicates + counts.quarantined
        assert not rows.select(TABLES[name].key).is_duplicated().any()
        assert rows.filter((pl.col("low") <= 0) | (pl.col("high") < pl.col("low")) | (pl.col("volume") < 0)).is_empty()
        assert set(rows["session_date"].unique()) <= {date(2021, 4, 8), date(2021, 4, 9)}
    assert staged.quarantine["rule"].null_count() == staged.quarantine["reason"].null_count() == 0


@pytest.mark.slow
@examples(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(files=st.lists(_files(), min_size=1, max_size=3))
def test_dirty_files_go_all_the_way_and_the_figures_add_up(pipeline, tmp_path, files: list[bytes]) -> None:
    """`outcome` raises where read is not accepted + unchanged + restated + duplicates + quarantined."""
    empty = next(tmp_path / str(n) for n in itertools.count() if not (tmp_path / str(n)).exists())
    fresh = replace(pipeline, settings=pipeline.settings.model_copy(update={"home": empty}))
    deliveries = {d.batch_id: d for d in (fresh.deliver(f"dirty{n}.csv", file) for n, file in enumerate(files))}
    figures = fresh.ingest(*deliveries.values())
    for table in ("bars_daily", "bars_1m"):
        counts = figures[table]
        assert counts["read"] == sum(value for name, value in counts.items() if name != "read")
        assert fresh.rows(table).height == counts["accepted"]
