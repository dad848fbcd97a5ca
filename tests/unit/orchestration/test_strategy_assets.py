"""Strategy files of the home as assets: which there are, that a release waits for them, and what a bad one does."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pipelines.definitions import build_definitions
from pipelines.orchestration.assets import strategies
from pipelines.orchestration.assets.strategies import strategy_assets, strategy_files
from pipelines.orchestration.jobs import nightly_job_name
from pipelines.orchestration.keys import table_key
from pipelines.orchestration.resources import MarketlakeResource, WriterLock
from pipelines.settings import Settings

GOOD = "strategy: abc\nscanners: [breakout_20d]\n"


@pytest.fixture
def folder(home: Settings) -> Path:
    home.strategies_dir.mkdir(parents=True)
    for name, text in {
        "good.yaml": GOOD,
        "bad.yml": f"{GOOD}limits: {{position: 3}}\n",
        "here.yaml": f"{GOOD}exchange: XNYS\n",
    }.items():
        (home.strategies_dir / name).write_text(text, encoding="utf-8")
    (home.strategies_dir / "notes.txt").write_text("no strategy", encoding="utf-8")
    return home.strategies_dir


@pytest.mark.slow
@pytest.mark.measured
def test_every_file_is_an_asset_of_its_exchange_and_the_release_waits_for_it(home: Settings, folder: Path) -> None:
    built = build_definitions(home.model_copy(update={"exchanges": ("XNSE", "XNYS")}))
    graph = built.resolve_asset_graph()
    made = {key.to_user_string() for key in graph.executable_asset_keys if key.path[-1].startswith("strategy_")}
    assert made == {"XNSE/strategy_good", "XNSE/strategy_bad", "XNYS/strategy_good", "XNYS/strategy_bad", "XNYS/strategy_here"}
    release = graph.get(table_key("XNYS", "release"))
    assert {f"XNYS/strategy_{name}" for name in ("good", "bad", "here")} <= {key.to_user_string() for key in release.parent_keys}
    job = built.resolve_job_def(nightly_job_name("XNYS"))
    assert table_key("XNYS", "strategy_here") in job.asset_layer.executable_asset_keys
    node = graph.get(table_key("XNYS", "strategy_good"))
    assert (node.group_name, bool(node.owners)) == ("XNYS_research", True)


def test_two_files_of_one_name_are_two_assets_and_no_folder_is_none(tmp_path: Path) -> None:
    for name in ("a b.yaml", "a b.yml", "A-B.yaml"):
        (tmp_path / name).write_text(GOOD, encoding="utf-8")
    assert sorted(strategy_files(tmp_path)) == ["strategy_a_b", "strategy_a_b_yaml", "strategy_a_b_yml"]
    assert strategy_files(tmp_path / "none") == {}


def test_a_file_that_cannot_be_used_warns_and_stops_nothing(home: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "current_plan", lambda *_: {"full": False})
    given = MarketlakeResource.from_settings(home)
    assets = {asset.key.path[-1]: asset for asset in strategy_assets("XNYS", folder, lambda *_: {})}
    results = {
        name: asset(dg.build_asset_context(), marketlake=given, lock=WriterLock(home=given.home)) for name, asset in assets.items()
    }
    (bad,), (good,) = (results[f"strategy_{name}"].check_results for name in ("bad", "good"))
    assert (bad.passed, bad.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert f"{folder / 'bad.yml'}:3: no key 'limits.position'; did you mean positions?" in str(bad.description)
    # Nothing of this home was ingested yet.
    assert (good.passed, good.description) == (False, "no bar of its universe between its dates")
