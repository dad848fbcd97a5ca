"""A lake whose bars have no instruments is named by `doctor` and put right by `doctor --repair`."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.doctor import examine, repair
from pipelines.ingest.orphan_bars import orphaned

AT = datetime(2025, 3, 2, tzinfo=UTC)
PRICES = (10, 11, 9, 10, 100)


@pytest.fixture
def broken(pipeline, bars_csv):
    """Bars of AAPL, MSFT and `BRK B`, of which the lake knows no instrument, beside IBM, which is as it should be."""
    names = ("AAPL", "IBM", "MSFT", "XBRK")
    rows = [(name, f"2024-01-0{day}", *PRICES) for name in names for day in (2, 3)]
    pipeline.ingest(
        pipeline.deliver("day.csv", bars_csv(rows)),
        pipeline.deliver("minute.csv", bars_csv([("XBRK", "2024-01-02 09:30", *PRICES)])),
    )
    odd = {"XBRK": "BRK B", "XNYS:XBRK": "XNYS:BRK B"}
    for table in ("bars_daily", "bars_1m", "instrument_aliases"):
        columns = [c for c in ("symbol", "instrument_id", "value") if c in pipeline.rows(table).columns]
        _overwrite(pipeline, table, pipeline.rows(table).with_columns(pl.col(columns).replace(odd)))
    for table in ("instruments", "instrument_aliases"):
        _overwrite(pipeline, table, pipeline.rows(table).filter(pl.col("instrument_id").is_in(["XNYS:IBM", "XNYS:BRK B"])))
    _overwrite(pipeline, "instruments", pipeline.rows("instruments").filter(pl.col("instrument_id") == "XNYS:IBM"))
    return pipeline


def _overwrite(pipeline, table: str, rows: pl.DataFrame) -> None:
    from pipelines.storage.delta import Change

    pipeline.table(table).update(lambda read: Change(rows, None), {"why": "planted"})


def test_doctor_names_the_instruments_and_the_way_out(broken) -> None:
    (finding,) = [f for f in examine(broken.settings) if f.check == "instruments XNYS"]
    assert not finding.ok
    assert "7 bars of 3 instruments" in finding.finding
    assert "XNYS:AAPL, 'XNYS:BRK B', XNYS:MSFT" in finding.finding
    assert "marketlake doctor --repair" in finding.advice


def test_repair_makes_the_instruments_and_sets_the_odd_symbol_aside(broken) -> None:
    done = repair(broken.settings, AT)

    assert done == [
        "XNYS: 2 instruments added for bars that had none: XNYS:AAPL, XNYS:MSFT",
        "XNYS: 2 rows of bars_daily moved to quarantine as malformed_symbol",
        "XNYS: 1 rows of bars_1m moved to quarantine as malformed_symbol",
    ]
    assert orphaned(broken.lake, "XNYS").is_empty()
    assert sorted(broken.rows("instruments").select("instrument_id", "valid_from").rows()) == [
        (f"XNYS:{name}", date(2024, 1, 2)) for name in ("AAPL", "IBM", "MSFT")
    ]
    assert sorted(broken.rows("instrument_aliases")["value"]) == ["AAPL", "IBM", "MSFT"]
    assert sorted(broken.rows("bars_daily")["symbol"].unique()) == ["AAPL", "IBM", "MSFT"]
    assert broken.quarantined() == [("bars_1m", "malformed_symbol")] + [("bars_daily", "malformed_symbol")] * 2
    assert broken.rows("bars_daily_superseded").select("symbol", "superseded_at").unique().rows() == [("BRK B", AT)]
    assert all(f.ok for f in examine(broken.settings) if f.check == "instruments XNYS")


def test_a_second_repair_changes_nothing(broken) -> None:
    repair(broken.settings, AT)
    before = {name: broken.table(name).version() for name in ("bars_daily", "bars_1m", "instruments", "quarantine")}
    assert repair(broken.settings, AT) == []
    assert {name: broken.table(name).version() for name in before} == before


def test_what_was_repaired_is_what_an_ingest_would_have_made(broken, bars_csv) -> None:
    repair(broken.settings, AT)
    (repaired,) = broken.rows("instruments").filter(pl.col("symbol") == "MSFT").to_dicts()
    (ingested,) = broken.rows("instruments").filter(pl.col("symbol") == "IBM").to_dicts()
    same = [c for c in repaired if c not in {"symbol", "instrument_id", "row_number"}]
    assert {c: repaired[c] for c in same} == {c: ingested[c] for c in same}
