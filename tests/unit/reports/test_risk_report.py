"""The report: self-contained, reproducible across processes, and showing what it was given."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.portfolio import Strategy, run_backtest
from pipelines.backtest.rules import Rules
from pipelines.reports.charts import _as_json
from pipelines.reports.picture import equity_picture
from pipelines.reports.risk_report import amount, build_risk_report, moment, p_value, percent, ratio
from pipelines.risk.var import var_table

ROOT = Path(__file__).parents[3]


def random_walk(instrument: str, sessions: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, sessions)))
    start = np.concatenate([[100.0], close[:-1]])
    opens = [datetime(2022, 1, 3, 3, 45, tzinfo=UTC) + timedelta(days=k) for k in range(sessions)]
    return pl.DataFrame(
        {
            "instrument_id": [instrument] * sessions,
            "session_date": [moment.date() for moment in opens],
            "ts_open": opens,
            "ts_close": [moment + timedelta(hours=6) for moment in opens],
            "open": start,
            "high": np.maximum(start, close) * 1.01,
            "low": np.minimum(start, close) * 0.99,
            "close": close,
        }
    )


def inputs(sessions: int = 320) -> dict:
    bars = pl.concat([random_walk("XNSE:ABC", sessions, 1), random_walk("XNSE:A&B", sessions, 2)])
    every = bars.with_columns(row=pl.int_range(pl.len()).over("instrument_id")).filter(pl.col("row") % 15 == 5)
    signals = every.select(
        signal_id=pl.format("{}-{}", "instrument_id", "row"),
        instrument_id="instrument_id",
        session_date="session_date",
        known_at="ts_close",
        signal_type=pl.when(pl.col("row") % 30 == 5).then(pl.lit("BUY")).otherwise(pl.lit("SELL")),
        target_price=pl.lit(None, pl.Float64),
        stop_loss=pl.col("close") * 0.95,
    )
    strategy = Strategy("walk", "walk_scanner", "inputs", "0.1.0+code", {"note": "</script><b>"}, trials=3)
    result = run_backtest(bars, signals, strategy, Rules(fraction=0.5, max_positions=2))
    return {
        "run": result.run,
        "trades": result.trades,
        "equity": result.equity,
        "var": var_table(result.returns(), result.run_id),
        "bars": bars,
        "signals": signals,
        "provenance": {"table_versions": {"bars_daily": 3}, "code_version": "0.1.0+code"},
        "timezone": "Asia/Kolkata",
        "currency": "INR",
    }


@pytest.fixture(scope="module")
def html() -> str:
    return build_risk_report(**inputs())


def test_the_page_shows_run_prices_equity_risk_trades_and_provenance(html):
    charts = re.findall(r'data-chart="([^"]+)"', html)
    assert charts == ["equity", "price-1", "price-2", "var"]
    for text in ("walk_scanner", "Cornish–Fisher", "bars_daily", "0.1.0+code", "09:15", "buy signal", "Max drawdown"):
        assert text in html, text


def test_nothing_is_loaded_from_anywhere(html):
    page = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href|url|@import)\s*[=(]", page)
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in html


def test_text_from_outside_cannot_become_markup(html):
    assert "XNSE:A&amp;B" in html
    assert "</script><b>" not in html


@pytest.mark.slow
@pytest.mark.measured
def test_what_was_observed_leaves_no_trace():
    given = inputs()
    slow = {**given, "run": {**given["run"], "execution_time_seconds": 99.0, "release_id": "r-1"}}
    assert build_risk_report(**given) == build_risk_report(**slow)


@pytest.mark.slow
@pytest.mark.measured
def test_two_processes_write_the_same_bytes(html):
    picture = hashlib.sha256(equity_picture(inputs()["equity"], 1_000_000, "walk")).hexdigest()
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]); import test_risk_report as t; given = t.inputs(); "
        "page = t.build_risk_report(**given); image = t.equity_picture(given['equity'], 1_000_000, 'walk'); "
        "print(hashlib.sha256(page.encode()).hexdigest(), hashlib.sha256(image).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)}
    folder = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == [hashlib.sha256(html.encode()).hexdigest(), picture]


def test_a_short_run_without_trades_still_has_a_page():
    given = inputs(sessions=30)
    empty = {**given, "trades": given["trades"].clear(), "run": {**given["run"], "trades": 0}}
    page = build_risk_report(**empty)
    assert "there is no value at risk yet" in page
    assert "No signal led to a trade" in page


def test_a_run_without_sessions_is_refused():
    given = inputs(sessions=30)
    with pytest.raises(ValueError, match="backtest_equity has no rows"):
        build_risk_report(**{**given, "equity": given["equity"].clear()})


def test_figures_are_written_for_readers():
    assert (percent(-0.1234), percent(None), amount(1234567.8), ratio(float("nan"))) == ("−12.34 %", "–", "1,234,568", "–")
    assert (p_value(0.0), p_value(0.0312), p_value(None)) == ("< 0.001", "0.031", "–")
    assert moment(datetime(2024, 1, 1, 3, 45, tzinfo=UTC), "Asia/Kolkata") == "2024-01-01 09:15"


def test_models_are_numbered_by_appearance():
    from bokeh.models import Range1d

    assert _as_json(Range1d(0, 1)) == _as_json(Range1d(0, 1))


def test_the_picture_is_a_small_svg_that_keeps_every_extreme():
    rng = np.random.default_rng(5)
    money = 1e6 * np.exp(np.cumsum(rng.normal(0, 0.01, 9_000)))
    peak = np.maximum.accumulate(money)
    given = pl.DataFrame(
        {
            "session_date": [date(2000, 1, 1) + timedelta(days=k) for k in range(9_000)],
            "equity": money,
            "drawdown": money / peak - 1,
        }
    )
    image = equity_picture(given.sample(fraction=1.0, shuffle=True, seed=1), 1e6, "<NASDAQ> & more")
    root = ElementTree.fromstring(image)
    assert (root.get("width"), root.get("height")) == ("720", "360")
    assert len(image) < 100_000
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"equity", "drawdown", "<NASDAQ> & more", "0%"} <= set(words)
    (line,) = (path.get("d", "") for path in root if path.get("stroke-width") == "1.4")
    heights = [float(point.split()[1]) for point in line[1:].split("L")]
    # The highest equity is 5 % of its range below the panel's top (28), the lowest as much above its bottom (236).
    assert (min(heights), max(heights)) == (pytest.approx(28 + 208 / 22, abs=0.1), pytest.approx(236 - 208 / 22, abs=0.1))


@pytest.mark.parametrize(
    ("money", "ticks"), [([100.0], ["100"]), ([99_000.0, 102_500.0], ["99,000", "100,000", "101,000", "102,000"])]
)
def test_the_picture_s_axis_has_round_figures(money: list[float], ticks: list[str]):
    days = [date(2024, 1, 1) + timedelta(days=k) for k in range(len(money))]
    given = pl.DataFrame({"session_date": days, "equity": money, "drawdown": [0.0] * len(money)})
    root = ElementTree.fromstring(equity_picture(given, money[0]))
    words = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [word for word in words if word[-3:].isdigit() and "-" not in word] == ticks


def test_a_picture_of_no_rows_is_refused():
    empty = pl.DataFrame(schema={"session_date": pl.Date, "equity": pl.Float64, "drawdown": pl.Float64})
    with pytest.raises(ValueError, match="no rows"):
        equity_picture(empty, 1.0)
