"""Identity by ISIN: real companies and ISINs of the National Stock Exchange, on days and prices made up."""

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

from pipelines.ingest.quarantine import store_quarantine
from pipelines.market.tables import TABLES
from pipelines.storage.upsert import publish

CM = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
HDFC_BEFORE, HDFC_AFTER = "INE040A01026", "INE040A01034"  # face value split of 2019-09-19
BAJAJ = "INE933K01021"
# The old company became GFLLIMITED; the chemicals business went to a new one.
FLUORO, FLUORO_NEW = "INE538A01037", "INE09N301011"


def day_file(pipeline, day: date, rows: list[tuple[str, str]], *, volume: int = 100):
    """A legacy bhavcopy: rows of (symbol, ISIN). Volumes differ from day to day, as they do."""
    lines = [f"{s},EQ,10,11,10,10.5,10,10,{volume + day.toordinal() % 97},,{day:%d-%b-%Y},7,{isin},\n" for s, isin in rows]
    return pipeline.deliver(f"cm{day:%d%b%Y}bhav.csv", CM + "".join(lines), source="nse_bhavcopy", mic="XNSE")


def admit(pipeline, *files) -> None:
    """Stage and publish without the gate, which has tests of its own."""
    staged = pipeline.stage(*files)
    store_quarantine(pipeline.lake, "XNSE", staged.quarantine)
    for table in ("instruments", "instrument_aliases", "bars_daily"):
        publish(pipeline.lake, "XNSE", TABLES[table], staged.tables[table], priorities={"nse_bhavcopy": 30}, batches=[])


D1, D2, D3, D4 = date(2019, 1, 1), date(2019, 1, 2), date(2019, 1, 3), date(2019, 1, 4)


@pytest.fixture(params=["in one order", "day by day"])
def staged(pipeline, request) -> Callable[[dict[date, list[tuple[str, str]]]], pl.DataFrame]:
    """The instrument of each (session, symbol), whether the files come together or one after the other."""

    def run(days: dict[date, list[tuple[str, str]]]) -> dict[tuple[date, str], str]:
        files = [day_file(pipeline, day, rows) for day, rows in days.items()]
        for group in [files] if request.param == "in one order" else [[file] for file in files]:
            admit(pipeline, *group)
        rows = pipeline.rows("bars_daily", "XNSE").select("session_date", "symbol", "instrument_id").rows()
        return {(day, symbol): instrument for day, symbol, instrument in rows}

    return run


def test_a_new_symbol_on_the_same_isin_is_one_history(staged, pipeline) -> None:
    found = staged({D1: [("BAJAJCORP", BAJAJ)], D2: [("BAJAJCON", BAJAJ)]})
    assert found == {(D1, "BAJAJCORP"): "XNSE:BAJAJCORP", (D2, "BAJAJCON"): "XNSE:BAJAJCORP"}
    aliases = (
        pipeline.rows("instrument_aliases", "XNSE").select("kind", "value", "valid_from", "valid_to").sort("kind", "value").rows()
    )
    assert aliases == [
        ("isin", BAJAJ, D1, None),
        ("symbol", "BAJAJCON", D2, None),
        ("symbol", "BAJAJCORP", D1, D1),
    ]
    assert pipeline.rows("instruments", "XNSE").select("instrument_id", "isin").rows() == [("XNSE:BAJAJCORP", BAJAJ)]


def test_a_new_isin_of_the_same_issuer_under_the_same_symbol_is_one_history(staged) -> None:
    found = staged({D1: [("HDFCBANK", HDFC_BEFORE)], D2: [("HDFCBANK", HDFC_AFTER)]})
    assert set(found.values()) == {"XNSE:HDFCBANK"}


def test_an_older_file_that_comes_later_joins_the_same_history(staged) -> None:
    found = staged({D3: [("BAJAJCON", BAJAJ)], D1: [("BAJAJCORP", BAJAJ)]})
    assert set(found.values()) <= {"XNSE:BAJAJCON", "XNSE:BAJAJCORP"}
    assert len(set(found.values())) == 1


def test_a_symbol_handed_to_another_company_starts_a_new_history(staged) -> None:
    found = staged({D1: [("GUJFLUORO", FLUORO)], D2: [("GUJFLUORO", FLUORO_NEW), ("GFLLIMITED", FLUORO)]})
    assert found == {
        (D1, "GUJFLUORO"): "XNSE:GUJFLUORO",
        (D2, "GFLLIMITED"): "XNSE:GUJFLUORO",
        (D2, "GUJFLUORO"): "XNSE:GUJFLUORO:2019-01-02",
    }


def test_a_foreign_isin_under_a_known_symbol_waits_for_a_person(staged, pipeline) -> None:
    found = staged({D1: [("GUJFLUORO", FLUORO)], D2: [("GUJFLUORO", FLUORO_NEW)]})
    assert found == {(D1, "GUJFLUORO"): "XNSE:GUJFLUORO"}
    assert pipeline.quarantined("XNSE") == [("bars_daily", "identity_ambiguous")]


def test_a_row_without_isin_follows_the_symbol_of_its_day(staged) -> None:
    found = staged({D1: [("BAJAJCORP", BAJAJ)], D2: [("BAJAJCON", BAJAJ)], D3: [("BAJAJCON", "")], D4: [("BAJAJCON", BAJAJ)]})
    assert set(found.values()) == {"XNSE:BAJAJCORP"}


def test_a_history_known_by_symbol_alone_takes_up_its_isin(staged, pipeline) -> None:
    found = staged({D1: [("BAJAJCORP", "")], D2: [("BAJAJCORP", BAJAJ)], D3: [("BAJAJCON", BAJAJ)]})
    assert set(found.values()) == {"XNSE:BAJAJCORP"}


def test_the_same_files_again_change_nothing(pipeline) -> None:
    files = [day_file(pipeline, D1, [("BAJAJCORP", BAJAJ)]), day_file(pipeline, D2, [("BAJAJCON", BAJAJ)])]
    pipeline.ingest(*files)
    aliases = pipeline.rows("instrument_aliases", "XNSE")
    again = pipeline.ingest(*files)
    assert again["bars_daily"]["unchanged"] == 2
    assert pipeline.rows("instrument_aliases", "XNSE").equals(aliases)
