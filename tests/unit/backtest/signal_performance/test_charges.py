"""Costs of both sides by date, against the lines of the tables added up by hand."""

import numpy as np
import pytest

from pipelines.backtest.charge_table import CLASSES, CostsError
from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.signal_performance.charges import charges

DATES = np.array(["NaT", "2001-01-01", "2004-09-30", "2024-10-01", "2025-03-03", "2004-10-01"], dtype="datetime64[D]")
# Exchange 0.00297 %, investor protection 0.0001 %, SEBI 0.0001 %, each with 18 % GST.
LEVIES = (0.0000297 + 0.000001 + 0.000001) * 1.18
BUY, SELL = 1, -1


def of(
    side: int, entered: int, left: int, ratio: float = 1.0, bps: float = 0.0, mic: str = "XNSE", kind: str = "equity"
) -> tuple[float, bool]:
    made = charges(mic, DATES, CostSettings(bps), np.array([CLASSES.index(kind)]))
    numbers = [np.array([value]) for value in (0, side, entered, left)]
    paid, assumed = made.of(*numbers, np.array([ratio]))
    return float(paid[0]), bool(assumed[0])


def test_a_holding_pays_delivery_on_both_sides_the_sale_on_its_own_value() -> None:
    bought, sold = 0.001 + 0.00015 + LEVIES, 0.001 + LEVIES
    assert of(BUY, 3, 4, 1.1) == (pytest.approx(bought + sold * 1.1), False)
    assert of(SELL, 3, 4, 0.9) == (pytest.approx(sold + bought * 0.9), False)


def test_a_fund_pays_its_own_lines() -> None:
    assert of(BUY, 3, 4, kind="equity_fund")[0] == pytest.approx(0.00015 + 0.00001 + 2 * LEVIES)
    assert of(BUY, 3, 4, kind="other_fund")[0] == pytest.approx(0.00015 + 2 * LEVIES)


def test_a_position_of_one_session_pays_intraday_charges() -> None:
    assert of(BUY, 4, 4) == (pytest.approx(0.00003 + 0.00025 + 2 * LEVIES), False)


def test_before_the_tables_first_date_its_first_rates_are_assumed_and_told() -> None:
    assert of(BUY, 1, 1) == (of(BUY, 5, 5)[0], True)
    assert of(BUY, 1, 2) == (pytest.approx(2 * (0.00075 + 0.0001 + 0.000037001 * 1.102)), True)


def test_before_the_tables_first_date_a_signal_fails_where_the_settings_say_so() -> None:
    made = charges("XNSE", DATES, CostSettings(before_table="refuse"), np.zeros(1, np.int64))
    one = np.zeros(1, np.int64)
    assert not made.of(one, one + 1, one + 3, one + 4, np.ones(1))[1].any()
    with pytest.raises(CostsError, match="a signal enters at 2001-01-01, before the first date of the cost table"):
        made.of(one, one + 1, one + 1, one + 2, np.ones(1))


def test_brokers_take_basis_points_a_side_everywhere() -> None:
    assert of(BUY, 1, 4, 2.0, bps=5, mic="XNYS") == (pytest.approx(0.0005 + 0.001), False)
    assert of(BUY, 4, 4, bps=5)[0] == pytest.approx(of(BUY, 4, 4)[0] + 0.001)
