"""Cost schedules against hand-calculated contract notes."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest

from pipelines.backtest import costs
from pipelines.backtest.costs import CostsError, DatedCosts, FlatCosts, first_date, read_table

TODAY = date(2025, 1, 15)


def charge(row: np.ndarray, value: float, side: int) -> float:
    return value * row[side] + min(max(value * row[2 + side], row[4]), row[5]) + row[6 + side]


def test_basis_points_and_a_minimum():
    row = FlatCosts(buy_bps=10, sell_bps=20, minimum=1.0).rates([TODAY])[0]
    assert [charge(row, 100_000, side) for side in (0, 1)] == pytest.approx([100.0, 200.0])
    assert charge(row, 100, 0) == 1.0


def test_a_delivery_contract_note_of_one_lakh_rupees():
    row = DatedCosts("nse_equity_delivery", depository_charge=15.34).rates([TODAY])[0]
    # 1,00,000: STT 100, exchange 2.97, IPFT 0.10, SEBI 0.10, 18 % GST on those three 0.5706, stamp duty 15 on the buy side.
    assert charge(row, 100_000, 0) == pytest.approx(100 + 3.17 * 1.18 + 15)
    assert charge(row, 100_000, 1) == pytest.approx(100 + 3.17 * 1.18 + 15.34)


def test_an_intraday_contract_note_with_capped_brokerage():
    row = DatedCosts("nse_equity_intraday", brokerage_rate=0.0003, brokerage_most=20).rates([TODAY])[0]
    assert charge(row, 1_000_000, 0) == pytest.approx(30 + 31.7 * 1.18 + 20 * 1.18)
    assert charge(row, 10_000, 1) == pytest.approx(2.5 + 0.317 * 1.18 + 3 * 1.18)


def test_dates_before_the_first_complete_day_have_no_rates():
    assert first_date("nse_equity_delivery") == date(2024, 10, 1)
    rows = DatedCosts("nse_equity_delivery").rates([date(2024, 9, 30), date(2024, 10, 1)])
    assert np.isnan(rows[0]).all()
    assert not np.isnan(rows[1]).any()


@pytest.mark.parametrize("table", ["nse_equity_delivery", "nse_equity_intraday"])
def test_every_line_of_a_table_names_its_source(table):
    lines = read_table(table)
    assert len(lines) == 6
    assert all(line.source and line.rate > 0 for line in lines)


def test_an_unknown_table_lists_the_known_ones():
    with pytest.raises(CostsError, match=r"known: nse_equity_delivery, nse_equity_intraday"):
        DatedCosts("bse").rates([TODAY])


def test_a_malformed_line_says_where():
    good = {"charge": "stt", "side": "both", "rate": "0.1", "taxed": "no", "valid_from": "2024-10-01", "source": "x"}
    for change in ({"rate": "ten"}, {"taxed": "maybe"}, {"side": "left"}, {"source": ""}):
        with pytest.raises(CostsError, match="line 7"):
            costs._charge("t", 7, good | change)


def test_negative_costs_are_refused_and_parameters_are_plain_values():
    with pytest.raises(CostsError, match=r"FlatCosts\.minimum"):
        FlatCosts(minimum=-1)
    assert DatedCosts("nse_equity_delivery").as_parameters()["brokerage_most"] is None
    assert math.isinf(DatedCosts("nse_equity_delivery").brokerage_most)
