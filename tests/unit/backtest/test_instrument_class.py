"""Which class of charges an instrument falls under, by what is known of it."""

import polars as pl
import pytest

from pipelines.backtest import instrument_class
from pipelines.backtest.charge_table import CostsError
from pipelines.backtest.instrument_class import InstrumentClass, classify, listed_funds


def kind(symbol: str, isin: str | None = None, *, ticker: str | None = None, mic: str = "XNSE") -> InstrumentClass | None:
    rows = [(f"{mic}:{ticker or symbol}", symbol, isin)]
    return classify(mic, pl.DataFrame(rows, schema=["instrument_id", "symbol", "isin"], orient="row")).get(rows[0][0])


@pytest.mark.parametrize(
    ("symbol", "isin", "name", "basis"),
    [
        ("NIFTYBEES", None, "equity_fund", "list"),
        ("GOLDBEES", "INF204KB17I5", "other_fund", "list"),
        ("RELIANCE", "INE002A01018", "equity", "isin"),
        ("TATAMTRDVR", "IN9155A01020", "equity", "isin"),
        ("NEWFUND", "INF000000000", "equity_fund", "isin"),
        ("NEWSILVER", "INF000000000", "other_fund", "isin"),
        ("AUTOBEES", None, "equity_fund", "name"),
        ("GILT5YBEES", None, "other_fund", "name"),
        ("SILVERIETF", None, "other_fund", "name"),
        ("SKYGOLD", None, "equity", "assumed"),
        ("SBIN", None, "equity", "assumed"),
    ],
)
def test_the_surest_of_list_isin_and_name_decides(symbol: str, isin: str | None, name: str, basis: str) -> None:
    assert kind(symbol, isin) == InstrumentClass(name, basis)


def test_a_listed_ticker_with_a_companys_isin_is_a_share() -> None:
    assert kind("MOMENTUM", "INE000000000") == InstrumentClass("equity", "isin")


def test_the_ticker_of_the_first_session_counts_after_a_rename() -> None:
    assert kind("NIFTYNEW", ticker="NIFTYBEES") == InstrumentClass("equity_fund", "list")


def test_an_exchange_without_a_list_has_no_classes() -> None:
    assert kind("SPY", mic="XNYS") is None


def test_a_line_of_the_list_that_does_not_read_is_named(tmp_path, monkeypatch) -> None:
    (tmp_path / "cost_tables").mkdir()
    (tmp_path / "cost_tables" / "funds.csv").write_text("symbol,class,confidence,source\nX,bond,sure,somewhere\n")
    monkeypatch.setattr(instrument_class.resources, "files", lambda _: tmp_path)
    with pytest.raises(CostsError, match=r"funds\.csv line 2"):
        listed_funds("funds")
