"""Value at risk on series with known answers, and the rolling record that must not look ahead."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.market.tables.research import RISK_VAR
from pipelines.risk.var import METHODS, value_at_risk, var_table

NORMAL = np.random.default_rng(3).normal(0.001, 0.02, 200_000)


def series(values: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"session_date": [date(2020, 1, 1) + timedelta(days=k) for k in range(values.size)], "ret": values})


def test_the_historical_figures_of_a_hundred_and_one_even_returns():
    returns = np.arange(-50, 51) / 1000
    var, shortfall = value_at_risk(returns, 0.95)
    assert var == pytest.approx(0.045)
    assert shortfall == pytest.approx(np.mean([0.050, 0.049, 0.048, 0.047, 0.046, 0.045]))


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_agree_on_normal_returns(method):
    # Normal with mean 0.001 and deviation 0.02: VaR 99 = 2.32635 × 0.02 − 0.001, shortfall 2.66521 × 0.02 − 0.001.
    assert value_at_risk(NORMAL, 0.99, method) == pytest.approx((0.045527, 0.052304), rel=0.02)


def test_cornish_fisher_without_skew_and_excess_is_the_normal_quantile():
    # Two-point mixtures with kurtosis exactly 3 and no skewness: values ±√3 with weight 1/6 each, else 0.
    returns = np.array([3**0.5, -(3**0.5), 0, 0, 0, 0]) / 100
    assert value_at_risk(returns, 0.95, "cornish_fisher") == pytest.approx(value_at_risk(returns, 0.95, "normal"))


def test_the_table_has_the_published_columns_and_one_row_per_session_method_and_confidence():
    table = var_table(series(NORMAL[:300]), "desk")
    assert table.columns == RISK_VAR.names
    assert table.height == 50 * 3 * 2
    assert table.to_arrow().cast(RISK_VAR.arrow()).num_rows == table.height
    assert table.filter(pl.col("session_date") == pl.col("session_date").min())["breaches"].null_count() == 6


def test_a_row_is_the_forecast_for_its_session_from_the_returns_before_it():
    returns = series(NORMAL[:300])
    rows = var_table(returns, "desk", methods=["historical"], confidences=[0.95])
    assert rows["session_date"].to_list() == returns["session_date"][250:].to_list()
    assert rows["var"].to_list() == pytest.approx([-np.quantile(NORMAL[t - 250 : t], 0.05) for t in range(250, 300)])


def test_breaches_are_counted_out_of_sample():
    calm = np.tile([0.001, -0.001], 125)
    returns = series(np.concatenate([calm, [-0.5, -0.4]]))
    table = var_table(returns, "desk", upcoming=date(2030, 1, 1), methods=["historical"], confidences=[0.99])
    assert table["session_date"].to_list() == [*returns["session_date"][250:], date(2030, 1, 1)]
    # The fall of 0.5 breaches its forecast; the fall of 0.4 is measured by a window that has already seen 0.5.
    assert table["breaches"].to_list() == [None, 1, 2]
    assert table["var"][0] == pytest.approx(0.001)


def test_the_row_of_the_upcoming_session_stays_when_its_return_is_known():
    returns = series(np.random.default_rng(5).standard_t(3, 80) / 100)
    before = returns.head(60)
    upcoming = returns["session_date"][60]
    early = var_table(before, "desk", upcoming=upcoming, window=20, evaluated=25)
    later = var_table(returns, "desk", window=20, evaluated=25)
    assert early.equals(later.filter(pl.col("session_date") <= upcoming))


def test_too_short_a_history_gives_no_rows():
    assert var_table(series(NORMAL[:250]), "desk").is_empty()
    assert var_table(series(NORMAL[:300]), "desk", since=date(2030, 1, 1)).columns == RISK_VAR.names


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), size=st.integers(30, 120), cut=st.integers(0, 119))
def test_new_sessions_alone_give_the_rows_of_a_full_computation_bit_for_bit(seed, size, cut):
    returns = series(np.random.default_rng(seed).standard_t(3, size) / 100)
    since = date(2020, 1, 1) + timedelta(days=cut)
    full = var_table(returns, "desk", window=20, evaluated=25)
    assert var_table(returns, "desk", since=since, window=20, evaluated=25).equals(full.filter(pl.col("session_date") >= since))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(25, 60))
def test_the_future_changes_no_row(seed, cut):
    values = np.random.default_rng(seed).standard_t(3, 80) / 100
    other = np.concatenate([values[:cut], np.full(80 - cut, -0.3)])
    until = pl.col("session_date") <= date(2020, 1, 1) + timedelta(days=cut)
    tables = [var_table(series(v), "desk", window=20, evaluated=25).filter(until) for v in (values, other)]
    assert tables[0].equals(tables[1])


@example(values=[0.0, 2.4e-114], method="cornish_fisher", confidence=0.9)
@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=80), st.sampled_from(METHODS), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_shortfall_is_never_below_its_value_at_risk(values, method, confidence):
    var, shortfall = value_at_risk(np.array(values), confidence, method)
    assert shortfall >= var - 1e-12


def test_wrong_input_says_what_is_wrong():
    with pytest.raises(ValueError, match="unknown method 'garch'; known: historical"):
        value_at_risk(NORMAL[:9], 0.95, "garch")
    with pytest.raises(ValueError, match="confidence is 95"):
        value_at_risk(NORMAL[:9], 95)
    with pytest.raises(ValueError, match="at least two"):
        value_at_risk(NORMAL[:1], 0.95)
    with pytest.raises(ValueError, match="a session repeats"):
        var_table(pl.concat([series(NORMAL[:3])] * 2), "desk")
    with pytest.raises(ValueError, match="a return is missing"):
        var_table(series(np.array([0.1, np.nan])), "desk")
    with pytest.raises(ValueError, match="is not after 2020-01-03"):
        var_table(series(NORMAL[:3]), "desk", upcoming=date(2020, 1, 3))
