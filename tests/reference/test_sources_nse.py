"""NSE's own end-of-day files, where the folder of shared test data is beside the project: counts, units and renames.

Counts of rows by series, the sessions of the files, and the units of turnover were taken from the files with other tools.
"""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.ingest.staged import Staged
from pipelines.market.tables import TABLES
from pipelines.sources.parquet import ParquetSource
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError
from pipelines.sources.registry import source

KOLKATA = "Asia/Kolkata"


def parse(folder: Path, name: str) -> list[ParsedTable]:
    return source("nse_bhavcopy").parse(RawFile(folder / name, name, ""), ParseOptions("XNSE", KOLKATA))


@pytest.fixture(scope="module")
def files(shared: Path) -> Path:
    return shared / "data" / "nse_bhavcopy"


@pytest.mark.parametrize(
    ("name", "session", "bars", "others"),
    [
        ("cm01JAN2019bhav.csv.zip", date(2019, 1, 1), 1641, 194),
        ("cm31OCT2019bhav.csv.zip", date(2019, 10, 31), 1690, 262),
        ("sec_bhavdata_full_28032024.zip", date(2024, 3, 28), 2160, 503),
        ("sec_bhavdata_full_04102024.zip", date(2024, 10, 4), 2245, 501),
    ],
)
def test_shares_and_other_prints_are_as_many_as_the_file_has_rows(
    files: Path, name: str, session: date, bars: int, others: int
) -> None:
    shares, prints = (table.frame for table in parse(files, name))
    assert (shares.height, prints.height) == (bars, others)
    assert shares["session_date"].unique().to_list() == [session]
    assert shares["symbol"].is_unique().all()
    assert set(shares["series"]) <= {"EQ", "BE", "BZ"}
    assert shares["parse_problem"].null_count() == bars


def test_turnover_is_in_rupees_in_both_layouts(files: Path) -> None:
    for name in ("cm01JAN2019bhav.csv.zip", "sec_bhavdata_full_03102024.zip"):
        shares = parse(files, name)[0].frame
        average = shares.select((pl.col("turnover") / (pl.col("volume") * pl.col("close"))).median()).item()
        assert average == pytest.approx(1, abs=0.01)


def test_good_friday_s_file_is_thursday_s_and_is_refused_as_such(files: Path) -> None:
    with pytest.raises(SourceError, match="name says 2024-03-29 but its rows are of 2024-03-28"):
        parse(files, "sec_bhavdata_full_29032024.zip")


def test_the_panel_of_many_files_is_read_by_naming_its_columns(shared: Path) -> None:
    name = "nse_daily/nse_bhav_panel.parquet"
    raw = RawFile(shared / "data" / name, name, "")
    (table,) = ParquetSource().parse(raw, ParseOptions("XNSE", KOLKATA, extra={"column.moment": "DATE1"}))
    assert (table.table, table.frame.height) == ("bars_daily", 113_234)
    assert table.frame["session_date"].null_count() == 0
    shown = table.frame.filter((pl.col("symbol") == "RELIANCE") & (pl.col("session_date") == date(2024, 10, 28)))
    assert shown["prev_close"][0] == pytest.approx(2655.70, abs=10)  # before the 1:1 bonus of that day
    assert shown["close"][0] == pytest.approx(1334, abs=10)


@pytest.fixture(scope="module")
def staged(files: Path, module_pipeline) -> Staged:
    """All 35 files, staged together."""
    names = sorted(p.name for p in files.glob("*.zip"))
    return module_pipeline.stage(
        *(module_pipeline.deliver(name, (files / name).read_bytes(), source="nse_bhavcopy", mic="XNSE") for name in names)
    )


@pytest.mark.slow
def test_every_row_of_every_file_is_accounted_for(staged: Staged, files: Path) -> None:
    refused = [f for f in staged.files if f.status == "refused"]
    assert [f.delivery.name for f in refused] == ["sec_bhavdata_full_29032024.zip"]
    for table in ("bars_daily", "bars_other_series"):
        counts = staged.counts[table]
        assert counts.read == staged.tables[table].height + counts.duplicates + counts.quarantined
        assert not staged.tables[table].select(TABLES[table].key).is_duplicated().any()
    read = sum(staged.counts[t].read for t in ("bars_daily", "bars_other_series"))
    assert read == sum(f.rows_read for f in staged.files) == 83_342


@pytest.mark.slow
def test_renames_and_face_value_splits_of_2019_stay_one_history(staged: Staged) -> None:
    bars = staged.tables["bars_daily"].filter(pl.col("session_date") < date(2020, 1, 1))

    def instruments(*symbols: str) -> set[str]:
        return set(bars.filter(pl.col("symbol").is_in(symbols))["instrument_id"])

    assert instruments("IDFCBANK", "IDFCFIRSTB") == {"XNSE:IDFCBANK"}
    assert instruments("TATASPONGE", "TATASTLLP") == {"XNSE:TATASPONGE"}
    assert instruments("HDFCBANK") == {"XNSE:HDFCBANK"}
    assert instruments("GUJFLUORO", "GFLLIMITED") == {"XNSE:GUJFLUORO"}
    assert instruments("MERCK", "PGHL") == {"XNSE:MERCK"}
    ambiguous = staged.quarantine.filter(pl.col("rule") == "identity_ambiguous")
    assert ambiguous.height <= 5
