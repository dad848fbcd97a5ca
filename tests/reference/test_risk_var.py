"""Value at risk and coverage tests against others' numbers: MathWorks, empyrical, LEAN."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.risk.coverage import Transitions, independence, kupiec
from pipelines.risk.var import value_at_risk
from tests.support.csv_table import read_table


def test_kupiec_and_christoffersen_as_mathworks_documents_them(shared):
    rows = {row["test"]: row for row in read_table(shared / "reference/performance/var_backtests_mathworks.csv")}
    row = rows["POF_kupiec"]
    ours = kupiec(int(row["observations"]), int(row["failures"]), float(row["var_level"]))
    assert ours == pytest.approx((float(row["likelihood_ratio"]), float(row["p_value"])), abs=5e-6)
    row = rows["CCI_christoffersen_independence"]
    ours = independence(Transitions(*(int(row[name]) for name in ("n00", "n01", "n10", "n11"))))
    assert ours == pytest.approx((float(row["likelihood_ratio"]), float(row["p_value"])), abs=5e-6)


@pytest.mark.parametrize("symbol", ["IBM", "GOOG"])
def test_historical_and_normal_figures_as_the_libraries_have_them(shared, symbol):
    prices = np.array([float(row["Adj Close"]) for row in read_table(shared / f"data/bokeh_sampledata/{symbol}.csv")])
    returns = prices[1:] / prices[:-1] - 1
    rows = read_table(shared / "reference/performance/library_performance_stats.csv")
    stats = {row["statistic"]: float(row["value"]) for row in rows if row["series"] == f"bokeh_{symbol}_adj_close_simple_returns"}
    var, shortfall = value_at_risk(returns, 0.95, "historical")
    assert (-var, -shortfall) == pytest.approx(
        (stats["empyrical.value_at_risk"], stats["empyrical.conditional_value_at_risk"]), rel=1e-12
    )
    normal, _ = value_at_risk(returns, 0.95, "normal")
    assert -normal == pytest.approx(stats["quantstats.value_at_risk"], rel=1e-9)


def test_rolling_normal_figures_as_lean_has_them(shared):
    (path,) = (shared / "reference/lean").glob("*valueatrisk*")
    rows = [row for row in read_table(path) if row["returns"]]
    returns = np.array([float(row["returns"]) for row in rows])
    checked = 0
    for end in range(252, len(rows), 50):
        for column, confidence in (("VaR_99", 0.99), ("VaR_95", 0.95), ("VaR_90", 0.90)):
            ours, _ = value_at_risk(returns[end - 252 + 1 : end + 1], confidence, "normal")
            assert -ours == pytest.approx(float(rows[end][column]), rel=1e-3), (rows[end]["date"], column)
            checked += 1
    assert checked > 30
