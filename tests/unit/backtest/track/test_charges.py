"""Costs of both sides by date, against the lines of the tables added up by hand."""

from datetime import date

import numpy as np
import pytest

from pipelines.backtest.track.charges import charges

DATES = np.array(["NaT", "2015-01-01", "2024-09-30", "2024-10-01", "2025-03-03"], dtype="datetime64[D]")
# Exchange 0.00297 %, investor protection 0.0001 %, SEBI 0.0001 %, each with 18 % GST.
LEVIES = (0.0000297 + 0.000001 + 0.000001) * 1.18
BUY, SELL = 1, -1


def of(side: int, entered: int, left: int, ratio: float = 1.0, bps: float = 0.0, mic: str = "XNSE") -> tuple[float, bool]:
    paid, assumed = charges(mic, DATES, bps).of(np.array([side]), np.array([entered]), np.array([left]), np.array([ratio]))
    return float(paid[0]), bool(assumed[0])


def test_a_holding_pays_delivery_on_both_sides_the_sale_on_its_own_value() -> None:
    bought, sold = 0.001 + 0.00015 + LEVIES, 0.001 + LEVIES
    assert of(BUY, 3, 4, 1.1) == (pytest.approx(bought + sold * 1.1), False)
    assert of(SELL, 3, 4, 0.9) == (pytest.approx(sold + bought * 0.9), False)


def test_a_position_of_one_session_pays_intraday_charges() -> None:
    assert of(BUY, 4, 4) == (pytest.approx(0.00003 + 0.00025 + 2 * LEVIES), False)


def test_before_the_tables_first_date_its_first_rates_are_assumed_and_told() -> None:
    assert of(BUY, 1, 1) == (of(BUY, 4, 4)[0], True)
    assert of(BUY, 2, 3) == (of(BUY, 3, 4)[0], True)


def test_brokers_take_basis_points_a_side_everywhere() -> None:
    assert of(BUY, 1, 4, 2.0, bps=5, mic="XNYS") == (pytest.approx(0.0005 + 0.001), False)
    assert of(BUY, 4, 4, bps=5)[0] == pytest.approx(of(BUY, 4, 4)[0] + 0.001)


def test_the_first_date_is_when_every_charge_is_known() -> None:
    assert date(2024, 10, 1) == DATES[3].item()
