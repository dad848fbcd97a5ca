"""The report: self-contained, reproducible across processes, and showing what it was given."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.verdict.evidence import find_evidence
from pipelines.reports.formats import amount, moment, p_value, percent, ratio
from pipelines.reports.picture import equity_picture
from pipelines.reports.run_report import ReportedRun
from pipelines.reports.series import equity_chart
from tests.support.report_page import SPLIT_DAY, page_of, reported

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def html() -> str:
    return page_of(reported())


def charts_of(html: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', html, flags=re.DOTALL)
    return {name: json.loads(text) for name, text in found}


def test_the_page_opens_with_the_verdict(html):
    content = html[html.index("<main>") :]
    assert content.index('id="verdict"') < content.index("Total return") < content.index('id="performance"')
    assert len(re.findall(r"data-figure=", content)) == 10
    assert "bars_daily 7" in content
    assert "not known: every instrument of this run still trades at its end" in content


def test_the_page_shows_run_prices_equity_risk_trades_and_provenance(html):
    assert list(charts_of(html)) == ["chart-equity", "chart-price-1", "chart-price-2", "chart-rolling", "chart-var"]
    for text in ("walk_scanner", "Cornish–Fisher", "bars_daily", "0.1.0+code", "09:15", "Gross to net", "Max drawdown"):
        assert text in html, text
    assert 'id="risk"' not in page_of(reported(), with_risk=False)


def test_nothing_is_loaded_from_anywhere(html):
    page = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    links = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    assert {link for link in links if not link.startswith("#")} == {"index.html"}
    assert {link[1:] for link in links if link.startswith("#")} <= set(re.findall(r' id="([^"]+)"', page))
    assert not re.findall(r"(?:url|@import)\s*[=(]", page)
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in html
    # What its licence asks for: the notice on the page; the link is the library's own, on the first chart.
    assert "TradingView Lightweight Charts™ 5.2.0, Copyright (c) 2026 TradingView, Inc., www.tradingview.com" in page


def test_text_from_outside_cannot_become_markup(html):
    assert "XNSE:A&amp;B" in html
    assert "</script><b>" not in html


def test_what_was_observed_leaves_no_trace(html):
    given = reported()
    assert page_of(replace(given, run={**given.run, "execution_time_seconds": 99.0, "release_id": "r-1"})) == html


@pytest.mark.slow
@pytest.mark.measured
def test_two_processes_write_the_same_bytes(html):
    picture = hashlib.sha256(equity_picture(reported().equity, 1_000_000, "walk")).hexdigest()
    program = (
        "import hashlib; import tests.support.report_page as t; from pipelines.reports.picture import equity_picture; "
        "page = t.page_of(t.reported()); image = equity_picture(t.reported().equity, 1_000_000, 'walk'); "
        "print(hashlib.sha256(page.encode()).hexdigest(), hashlib.sha256(image).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == [hashlib.sha256(html.encode()).hexdigest(), picture]


def test_a_short_run_without_trades_still_has_a_page():
    given = reported(30)
    setup = replace(given.setup, signals=given.setup.signals.clear())
    result = setup.run()
    evidence = find_evidence(setup, result.run, result.trades, result.equity, {})
    page = page_of(ReportedRun(result.run, result.trades, result.equity, setup, evidence, {}))
    assert 'data-verdict="nothing_traded"' in page
    assert "there is no value at risk yet" in page
    assert "there is nothing to roll yet" in page
    assert "No signal led to a trade" in page


def test_a_run_without_sessions_is_refused():
    given = reported(30)
    with pytest.raises(ValueError, match="backtest_equity has no rows"):
        page_of(replace(given, equity=given.equity.clear()))


def test_prices_are_given_as_traded_with_the_factors_that_adjust_them(html):
    for chart in (charts_of(html)["chart-price-1"], charts_of(html)["chart-price-2"]):
        held = chart["series"][1]
        assert held["name"] == "held"
        assert all(first <= last for first, last, *_ in held["spans"])
    split = next(chart for chart in charts_of(html).values() if "factors" in chart)
    ((until, factor),) = split["factors"]
    assert (split["days"][until], factor) == (SPLIT_DAY.isoformat(), 0.5)
    # A stop held across the split is half of itself in the new units.
    across = [span for span in split["series"][2]["spans"] if span[0] < until <= span[1]]
    assert all(last == pytest.approx(first / 2, rel=1e-3) for _, _, first, last, _ in across)


def test_the_axis_has_a_day_a_session_and_none_between(html):
    days = charts_of(html)["chart-equity"]["days"]
    assert days == [str(day) for day in reported().equity["session_date"]]


def test_a_long_curve_is_thinned_out_and_keeps_its_newest_session():
    count = 10_001
    days = [date(1990, 1, 1) + timedelta(days=k) for k in range(count)]
    equity = pl.DataFrame({"session_date": days, "equity": np.arange(count) + 1.0, "drawdown": np.zeros(count)})
    chart = equity_chart(equity, np.ones(count), 1.0)
    assert len(chart["days"]) <= 4_000
    assert chart["days"][-1] == str(days[-1])


@pytest.mark.slow
@pytest.mark.measured
def test_a_page_of_thirty_years_and_thousands_of_trades_stays_below_a_megabyte():
    given = reported(7_800)
    trades = pl.concat([given.trades] * (1 + 2_000 // given.trades.height))
    assert len(page_of(replace(given, trades=trades)).encode()) < 1_000_000


def test_figures_are_written_for_readers():
    assert (percent(-0.1234), percent(None), amount(1234567.8), ratio(float("nan"))) == ("−12.34 %", "–", "1,234,568", "–")
    assert (p_value(0.0), p_value(0.0312), p_value(None)) == ("< 0.001", "0.031", "–")
    assert moment(datetime(2024, 1, 1, 3, 45, tzinfo=UTC), "Asia/Kolkata") == "2024-01-01 09:15"


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
