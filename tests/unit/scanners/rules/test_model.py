"""Rules as scanners: their signals are those of a loop over the same bars, and a changed file changes what is compiled."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.package_data import shipped
from pipelines.scanners.engine.runner import ScanEngine
from pipelines.scanners.project import HomeProject
from pipelines.scanners.registry import CompiledScanners, load_scanners
from pipelines.settings import Settings

Build = Any  # the fixture's record, in conftest.py

RULES = """
scanners:
  busy_rise:
    when: close > previous(high) * 0.99 and relative_volume > factor
    side: BUY
    score: relative_volume / 10
    stop_atr: 1
    parameters:
      factor: {default: 1.5, range: [0, 10], unit: ratio, meaning: "Volume {{ env_var('HIDDEN') }} needed {% if 1 %}."}
    description: "Rises {{ env_var('HIDDEN') }} {# or not #} {{{ 1 }}} {% endraw %} { a }."
  below_mean:
    when: crosses_below(close, sma_20)
    side: SELL
  morning:
    when: close >= previous(close) and volume > 0
    side: BUY
    evaluates: intraday
    moments: ["09:40"]
  forming:
    when: close > previous(high) and previous(rsi_14) < 100
    side: BUY
    evaluates: forming_daily
    universe: liquid
    min_coverage_pct: 0
  stopped_at_once:
    when: close > 0
    side: BUY
    stop_atr: 0
  far_below:
    when: close > 0
    side: SELL
    target_atr: 90
"""


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> CompiledScanners:
    """The project with the rules above, compiled once."""
    home = tmp_path_factory.mktemp("home")
    (home / "scanners.yml").write_text(RULES, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIDDEN", "a secret")
        manifest = HomeProject.from_settings(Settings(home=home, scanners="scanners.yml")).compile(home / "compiled")
    return load_scanners(manifest)


@pytest.mark.slow
@pytest.mark.measured
def test_jinja_in_a_rule_s_words_is_text(ruled: CompiledScanners) -> None:
    found = ruled.scanner("busy_rise")
    assert found.description == "Rises {{ env_var('HIDDEN') }} {# or not #} {{{ 1 }}} {% endraw %} { a }."
    meanings = {parameter.name: parameter.meaning for parameter in found.parameters}
    assert meanings["factor"] == "Volume {{ env_var('HIDDEN') }} needed {% if 1 %}."


@pytest.fixture(scope="module")
def engine(ruled: CompiledScanners, build: Build) -> Iterator[ScanEngine]:
    with ScanEngine(ruled, build.inputs) as opened:
        yield opened


def test_rules_are_scanners_like_any_other(ruled: CompiledScanners) -> None:
    rule = ruled.scanner("busy_rise")

    assert (rule.family, rule.evaluates, rule.moments) == ("rules", "closed_daily", ("close",))
    assert rule.values({"factor": 3}) == {"factor": 3.0, "stop_atr": 1.0, "target_atr": 3.0}
    assert ruled.scanner("forming").universe == "liquid"
    assert "breakout_20d" in ruled.scanners


def test_a_rule_on_bars_and_volume_finds_what_a_loop_finds(build: Build, engine: ScanEngine) -> None:
    closes = [session.closes_at for session in build.sessions[30:]]
    found = engine.run_at([(moment, ["busy_rise"]) for moment in closes])

    expected = set()
    judged = 0
    for (symbol,), bars in build.inputs.bars_daily.sort("session_date").group_by("symbol"):
        rows = bars.to_dicts()
        for at in range(20, len(rows)):
            if rows[at]["session_date"] < build.sessions[30].session_date:
                continue
            # SPLIT's last session is in the new basis: half the price, twice the shares.
            split = symbol == "SPLIT" and at == len(rows) - 1
            price, share = (0.5, 2) if split else (1.0, 1)
            usual = sum(row["volume"] * share for row in rows[at - 20 : at]) / 20
            judged += 1
            if rows[at]["close"] > rows[at - 1]["high"] * price * 0.99 and rows[at]["volume"] / usual > 1.5:
                expected.add((symbol, rows[at]["session_date"]))
    assert set(found.signals.select("symbol", "session_date").rows()) == expected
    assert {symbol for symbol, _ in expected} == {"RISE", "TIE"}
    assert found.runs["instruments_scanned"].sum() == judged


def test_entry_stop_target_score_and_details_follow_the_rule(build: Build, engine: ScanEngine) -> None:
    moment = build.sessions[-1].closes_at
    (row,) = engine.run(moment, ["busy_rise"]).signals.filter(pl.col("symbol") == "RISE").to_dicts()
    details = json.loads(row["details"])
    atr = build.inputs.indicators_daily.filter(
        (pl.col("symbol") == "RISE") & (pl.col("session_date") == build.sessions[-1].session_date)
    )["atr_14"].item()

    assert row["entry_price"] == 104.0
    assert row["stop_loss"] == pytest.approx(104.0 - atr, abs=1e-4)
    assert row["target_price"] == pytest.approx(104.0 + 3 * atr, abs=1e-4)
    assert row["confidence_score"] == pytest.approx(details["relative_volume"] / 10, abs=1e-6)
    assert set(details) == {"close", "high_before", "relative_volume", "atr_14"}
    assert details["relative_volume"] == pytest.approx(9000 / (1000 + sum(range(39, 59)) / 20), abs=1e-6)


def test_a_rule_with_its_stop_at_the_entry_issues_nothing_and_one_with_its_target_below_zero_has_none(
    build: Build, engine: ScanEngine
) -> None:
    found = engine.run(build.sessions[-1].closes_at, ["stopped_at_once", "far_below"])

    runs = {run["scanner_name"]: run for run in found.runs.iter_rows(named=True)}
    # YOUNG has no ATR yet, and so no stop that could be wrong.
    assert (runs["stopped_at_once"]["signals"], runs["stopped_at_once"]["signals_refused"]) == (1, 5)
    assert (runs["far_below"]["signals"], runs["far_below"]["signals_refused"]) == (6, 0)
    far = found.signals.filter(scanner_name="far_below")
    assert far["target_price"].null_count() == 6
    assert far["stop_loss"].null_count() == 1


def test_a_parameter_changes_what_is_found_and_its_id(build: Build, engine: ScanEngine) -> None:
    moment = build.sessions[-1].closes_at
    usual = engine.run(moment, ["busy_rise"]).signals
    strict = engine.run(moment, ["busy_rise"], {"busy_rise": {"factor": 8.7}}).signals
    same = engine.run(moment, ["busy_rise"], {"busy_rise": {"factor": 1.5}}).signals

    assert same.equals(usual)
    assert strict.is_empty()
    with pytest.raises(ValueError, match="factor = 11 lies outside"):
        engine.run(moment, ["busy_rise"], {"busy_rise": {"factor": 11}})


def test_a_crossing_of_an_indicator_is_counted_in_exact_ticks(build: Build, engine: ScanEngine) -> None:
    closes = [session.closes_at for session in build.sessions[22:]]
    signals = engine.run_at([(moment, ["below_mean"]) for moment in closes]).signals

    rows = build.inputs.bars_daily.join(
        build.inputs.indicators_daily.select("instrument_id", "session_date", "sma_20"), on=["instrument_id", "session_date"]
    ).sort("session_date")
    expected = set()
    for (symbol,), bars in rows.group_by("symbol"):
        side = 0
        for row in bars.to_dicts():
            if row["sma_20"] is None:
                continue
            apart = round(row["close"] * 1e6) - round(row["sma_20"] * 1e6)
            if side > 0 > apart and row["session_date"] >= build.sessions[22].session_date:
                expected.add((symbol, row["session_date"]))
            side = (apart > 0) - (apart < 0) or side
    assert expected
    assert set(signals.select("symbol", "session_date").rows()) == expected


def test_an_intraday_rule_sees_the_minutes_that_had_ended(build: Build, engine: ScanEngine) -> None:
    opens = build.sessions[-1].opens_at
    moment = opens.replace(hour=4, minute=10)  # 09:40 in Mumbai, 25 minutes after the open
    signals = engine.run(moment, ["morning"]).signals

    # The close before was 101 at most; RISE stands at 104, the others at 100, SPLIT at 50 against half its close.
    assert signals["symbol"].to_list() == ["RISE"]
    assert signals["ts"].to_list() == [moment]


def test_what_could_not_be_judged_shows_as_missing_coverage(build: Build, engine: ScanEngine) -> None:
    moment = build.sessions[-1].closes_at
    (run,) = engine.run(moment, ["busy_rise"]).runs.to_dicts()

    # YOUNG has no twenty sessions before.
    assert (run["universe_size"], run["instruments_scanned"], run["status"]) == (6, 5, "partial")


def test_a_universe_narrows_the_scan_and_its_coverage(build: Build, engine: ScanEngine) -> None:
    rules = pl.DataFrame({"universe_name": ["liquid"], "min_traded_value": [102_000.0]})
    lists = pl.DataFrame(
        {
            "universe_name": ["mine", "mine"],
            "exchange": [None, None],
            "symbol": ["RISE", "XNSE:YOUNG"],
            "valid_from": [build.sessions[0].session_date] * 2,
            "valid_to": [build.sessions[-1].session_date] * 2,
        }
    )
    engine.replace("universe_rules", rules)
    engine.replace("universe_members", lists)
    moment = build.sessions[-1].closes_at

    everything = engine.run(moment, ["busy_rise", "forming"])
    mine = engine.run(moment, ["busy_rise", "forming"], universe="mine")
    nobody = engine.run(moment, ["busy_rise"], universe="nobody")

    sizes = {row["scanner_name"]: row["universe_size"] for row in everything.runs.to_dicts()}
    # Median close × volume of the twenty sessions before is about 100.5 × 1048.5; YOUNG traded in nine of them.
    assert sizes == {"busy_rise": 6, "forming": 5}
    assert mine.runs["universe_size"].to_list() == [2, 2]
    assert mine.signals.equals(everything.signals.filter(pl.col("symbol") == "RISE"))
    assert (nobody.runs["universe_size"].item(), nobody.runs["status"].item()) == (0, "withheld")


def test_the_project_follows_the_file_and_without_one_is_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "scanners.yml"
    plain = HomeProject.from_settings(Settings(home=tmp_path))
    assert (plain.directory(), plain.fingerprint()) == (shipped("dbt_project"), "built-in")

    project = HomeProject.from_settings(Settings(home=tmp_path, scanners="scanners.yml"))
    path.write_text(RULES, encoding="utf-8")
    first, made_of = project.directory(), project.fingerprint()
    assert first.parent == tmp_path / ".state" / "dbt"
    assert {"busy_rise", "below_mean", "morning", "forming", "breakout_20d"} <= set(project.declared_scanners())
    path.write_text(RULES + "# A remark.\n", encoding="utf-8")
    assert project.directory() == first
    path.write_text(RULES.replace("sma_20", "sma_50"), encoding="utf-8")
    assert project.directory() != first
    assert project.fingerprint() != made_of
    path.write_text(RULES, encoding="utf-8")
    assert (project.directory(), project.fingerprint()) == (first, made_of)


@pytest.mark.slow
def test_a_manifest_of_other_rules_is_made_anew(tmp_path: Path) -> None:
    project = HomeProject.from_settings(Settings(home=tmp_path, scanners="scanners.yml"))
    one = "scanners:\n  mine:\n    when: close > open\n    side: BUY\n"
    for text, name in ((one, "mine"), (one.replace("mine", "yours"), "yours"), (one, "mine")):
        (tmp_path / "scanners.yml").write_text(text, encoding="utf-8")
        HomeProject.manifest.__globals__["_manifest"].cache_clear()  # another process
        assert name in load_scanners(project.manifest()).scanners
