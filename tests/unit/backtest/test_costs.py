"""Cost schedules against hand-calculated contract notes."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest

from pipelines.backtest.charge_table import TABLES, CostsError, first_date, parse_line, read_table
from pipelines.backtest.costs import DatedCosts, FlatCosts

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


def test_a_fund_of_shares_pays_transaction_tax_on_its_sale_alone_and_one_of_gold_none():
    """1,000 NIFTYBEES at 270: stamp duty 40.50, and 8.559 to exchange, protection fund and SEBI with GST; as a share 320.60."""
    shares, fund, gold = (DatedCosts(f"nse_{kind}_delivery").rates([TODAY])[0] for kind in ("equity", "equity_fund", "other_fund"))
    assert [round(charge(row, 270_000, 0), 2) for row in (shares, fund, gold)] == [320.60, 50.60, 50.60]
    assert charge(fund, 270_000, 1) - charge(gold, 270_000, 1) == pytest.approx(2.70)


@pytest.mark.parametrize(
    ("day", "buy", "sell"),
    [
        # STT, stamp duty by state, then exchange, investor protection and SEBI with service tax, in % of value.
        (date(2004, 10, 1), 0.075 + 0.01 + 0.0037001 * 1.102, 0.075 + 0.01 + 0.0037001 * 1.102),
        (date(2009, 10, 1), 0.125 + 0.01 + 0.0034501 * 1.103, 0.125 + 0.01 + 0.0034501 * 1.103),
        (date(2012, 6, 30), 0.125 + 0.01 + 0.0034501 * 1.1236, 0.125 + 0.01 + 0.0034501 * 1.1236),
        (date(2012, 7, 1), 0.1 + 0.01 + 0.0034501 * 1.1236, 0.1 + 0.01 + 0.0034501 * 1.1236),
        (date(2017, 7, 1), 0.1 + 0.01 + 0.0034001 * 1.18, 0.1 + 0.01 + 0.0034001 * 1.18),
        (date(2020, 7, 1), 0.1 + 0.015 + 0.0033001 * 1.18, 0.1 + 0.0033001 * 1.18),
        (date(2023, 4, 1), 0.1 + 0.015 + 0.00345 * 1.18, 0.1 + 0.00345 * 1.18),
    ],
)
def test_rates_of_a_delivery_through_twenty_years(day, buy, sell):
    row = DatedCosts("nse_equity_delivery").rates([day])[0]
    assert (100 * row[0], 100 * row[1]) == (pytest.approx(buy), pytest.approx(sell))


def test_before_the_first_complete_day_there_are_no_rates_or_the_first_ones_are_assumed():
    first = date(2004, 10, 1)
    before = date(2004, 9, 30)
    assert {first_date(name) for name in TABLES} == {first}
    rows = DatedCosts("nse_equity_delivery").rates([before, first])
    assert np.isnan(rows[0]).all()
    assert not np.isnan(rows[1]).any()
    assuming = DatedCosts("nse_equity_delivery", before_table="assume")
    assert (assuming.rates([before]) == rows[1]).all()
    assert assuming.assumed([before, first]).tolist() == [True, False]
    with pytest.raises(CostsError, match="must be refuse or assume"):
        DatedCosts("nse_equity_delivery", before_table="guess")


def test_dates_of_weak_lines_are_told_apart():
    table = DatedCosts("nse_equity_delivery")
    assert table.unsure([date(2012, 1, 2), date(2016, 1, 4), date(2024, 4, 1), TODAY]).tolist() == [True, False, True, False]


def test_stamp_duty_of_another_state_replaces_the_tables_until_india_had_one_rate():
    rows = [DatedCosts("nse_equity_delivery", state_stamp_duty=rate).rates([date(2019, 1, 1), TODAY]) for rate in (None, 0.00005)]
    assert rows[0][0, :2] - rows[1][0, :2] == pytest.approx([0.00005, 0.00005])
    assert (rows[0][1] == rows[1][1]).all()


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_line_of_a_table_names_its_source_and_how_sure_it_is(table):
    lines = read_table(table)
    assert {line.charge for line in lines} >= {"exchange_transaction", "ipft", "sebi_fee", "stamp_duty", "gst"}
    assert all(line.source and line.confidence and line.rate >= 0 for line in lines)


def test_an_unknown_table_lists_the_known_ones():
    with pytest.raises(CostsError, match=r"known: nse_equity_delivery, nse_equity_fund_delivery"):
        DatedCosts("bse").rates([TODAY])


def test_a_malformed_line_says_where():
    good = {"charge": "stt", "side": "both", "rate": "0.1", "taxed": "no", "valid_from": "2024-10-01", "source": "x"}
    good |= {"instruments": "all", "holding": "any", "confidence": "sure"}
    assert len(parse_line("t", 7, good, "equity", "delivery")) == 2
    for change in (
        {"rate": "ten"}, {"rate": "-1"}, {"taxed": "maybe"}, {"side": "left"}, {"source": ""}, {"instruments": "bond"},
        {"holding": "weekly"}, {"confidence": "perhaps"},
    ):  # fmt: skip
        with pytest.raises(CostsError, match="line 7"):
            parse_line("t", 7, good | change, "equity", "delivery")


def test_negative_costs_are_refused_and_parameters_are_plain_values():
    with pytest.raises(CostsError, match=r"FlatCosts\.minimum"):
        FlatCosts(minimum=-1)
    assert DatedCosts("nse_equity_delivery").as_parameters()["brokerage_most"] is None
    assert math.isinf(DatedCosts("nse_equity_delivery").brokerage_most)
