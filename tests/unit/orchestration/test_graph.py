"""The graph of assets: nothing hangs in the air, everything says what it is, and no check disarms the gate."""

import importlib.util
import tomllib
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from pipelines.definitions import build_definitions
from pipelines.orchestration.assets.models import model_assets
from pipelines.orchestration.checks.freshness import freshness_check
from pipelines.orchestration.jobs import ingest_job_name, nightly_job_name
from pipelines.orchestration.keys import EXTERNAL, INGESTED, staged_key, table_key
from pipelines.orchestration.resources import MarketlakeResource
from pipelines.scanners.project import HomeProject
from pipelines.settings import Settings

MICS = ("XNSE", "XNYS")
#: Groups that steps of a run fill, and what a build prepares for them.
STAGES = {"sources", "lake", "indicators", "scan_inputs", "scanners", "marts", "research", "live", "release"}
GROUPS = {*STAGES, "build_inputs"}


@pytest.fixture(scope="module")
def settings(module_dagster_pipeline) -> Settings:
    return module_dagster_pipeline.settings.model_copy(update={"exchanges": MICS})


@pytest.fixture(scope="module")
def definitions(settings: Settings) -> dg.Definitions:
    return build_definitions(settings)


@pytest.fixture(scope="module")
def graph(definitions: dg.Definitions):
    return definitions.resolve_asset_graph()


def unknown_externals(graph) -> set[str]:
    """Keys that no asset makes and that nobody declared: what a mistyped dependency turns into, without any error."""
    outside = graph.get_all_asset_keys() - graph.executable_asset_keys
    allowed = {table_key(mic, name) for mic in MICS for name in EXTERNAL}
    return {k.to_user_string() for k in outside - allowed if not (len(k.path) == 3 and k.path[1] == "build")}


@pytest.mark.slow
@pytest.mark.measured
def test_every_asset_from_outside_is_on_the_list(graph) -> None:
    assert unknown_externals(graph) == set()


def test_what_a_build_prepares_beside_the_lake_is_what_models_may_read_and_no_more(graph) -> None:
    """`build/*` are relations that a build makes for its models: the windows of the run, and what the last build left."""
    prepared = {k.path[2] for k in graph.get_all_asset_keys() - graph.executable_asset_keys if k.path[1] == "build"}
    windows, carried, kept = (
        {
            *("window_daily", "window_1m", "window_listings", "window_bounds"),
            *("sessions", "closing_auctions", "universe_members", "universe_rules", "finding_effects"),
        },
        {"indicator_state_daily", "indicator_state_1m", "indicators_daily", "intraday_curves", "intraday_profiles"},
        {
            *("scanner_signals", "scanner_signals_superseded"),
            *("bars_daily_superseded", "bars_1m_superseded", "corporate_actions_superseded"),
        },
    )
    assert prepared == windows | carried | kept


def test_a_mistyped_dependency_would_be_seen(definitions: dg.Definitions) -> None:
    @dg.asset(deps=[dg.AssetKey(["XNYS", "bars_dayly"])])
    def reader() -> None: ...

    seen = unknown_externals(dg.Definitions.merge(definitions, dg.Definitions(assets=[reader])).resolve_asset_graph())
    assert seen == {"XNYS/bars_dayly"}


def test_every_asset_has_a_group_and_says_what_it_is(graph) -> None:
    nodes = [graph.get(key) for key in graph.executable_asset_keys]
    assert {node.group_name for node in nodes} == {f"{mic}_{stage}" for mic in MICS for stage in STAGES}
    assert [node.key.to_user_string() for node in nodes if not (node.description or "").strip()] == []


def test_a_group_holds_one_exchange_and_is_the_bare_stage_where_there_is_but_one(graph, settings: Settings) -> None:
    for key in graph.get_all_asset_keys():
        assert graph.get(key).group_name.removeprefix(f"{key.path[0]}_") in GROUPS
    alone = build_definitions(settings.model_copy(update={"exchanges": ("XNYS",)})).resolve_asset_graph()
    assert {alone.get(key).group_name for key in alone.executable_asset_keys} == STAGES


def test_no_stage_of_a_build_reads_a_later_one_and_none_is_a_tangle(graph) -> None:
    order = ["XNYS_build_inputs", "XNYS_lake", "XNYS_indicators", "XNYS_scan_inputs", "XNYS_scanners", "XNYS_marts"]
    made = [graph.get(key) for key in graph.get_all_asset_keys() if graph.get(key).group_name in order[2:]]
    assert {
        node.key for node in made if any(stage(graph, k, order) > stage(graph, node.key, order) for k in node.parent_keys)
    } == set()
    assert max(Counter(node.group_name for node in made).values()) <= 32


def stage(graph, key: dg.AssetKey, order: list[str]) -> int:
    return order.index(graph.get(key).group_name)


#: What the page of every asset shows, and where it is in the node.
SHOWN = {
    "owner": lambda node: node.owners,
    "kinds": lambda node: node.kinds,
    "description": lambda node: (node.description or "").strip(),
    "tags": lambda node: {"marketlake/exchange", "marketlake/stage"} <= node.tags.keys(),
    "address": lambda node: node.metadata.get("dagster/uri"),
    "code": lambda node: node.metadata.get("dagster/code_references"),
    "columns": lambda node: node.metadata.get("dagster/column_schema"),
    "lineage": lambda node: node.metadata.get("dagster/column_lineage"),
    "text": lambda node: "```" in (node.description or ""),
}
MODELS = {"indicators", "scan_inputs", "scanners", "marts"}
_IN_PYTHON = {"int_indicators_daily", "int_indicators_1m", "intraday_curves", "intraday_profiles"}


def may_lack(node) -> set[str]:
    """What an asset need not show, each with its reason."""
    name, stage = node.key.path[-1], node.tags.get("marketlake/stage")
    lacks = set() if stage in MODELS else {"lineage", "text"}  # a function's columns are in no SQL; its code is linked
    if name in EXTERNAL:
        lacks |= {"code", "columns"}  # files that no code of ours makes
    if name == "vendor_files":
        lacks |= {"address"}  # they come from anywhere
    if name == "release" or stage == "build_inputs" or name.startswith("int_"):
        lacks |= {"columns"}  # no table; relations that live for one build and whose yml names a few columns
    if name in _IN_PYTHON:
        lacks |= {"lineage"}  # no SQL
    return lacks


def lacking(graph) -> dict[str, set[str]]:
    """What each asset's page lacks beyond that."""
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    lacks = {n.key.to_user_string(): {what for what, shown in SHOWN.items() if not shown(n)} - may_lack(n) for n in nodes}
    return {key: missing for key, missing in lacks.items() if missing}


def test_the_page_of_every_asset_shows_whose_it_is_where_it_is_and_what_it_is_made_of(graph) -> None:
    assert lacking(graph) == {}
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert {n.group_name for n in nodes} == {f"{mic}_{group}" for mic in MICS for group in GROUPS}
    for node in nodes:
        mic = node.key.path[0]
        assert (node.tags["marketlake/exchange"], f"{mic}_{node.tags['marketlake/stage']}") == (mic, node.group_name)


def test_an_asset_that_nobody_described_would_be_seen(definitions: dg.Definitions) -> None:
    @dg.asset(key=["XNYS", "stub"], group_name="XNYS_lake")
    def stub() -> None: ...

    seen = lacking(dg.Definitions.merge(definitions, dg.Definitions(assets=[stub])).resolve_asset_graph())
    assert seen == {"XNYS/stub": {"owner", "kinds", "description", "tags", "address", "code", "columns"}}


def test_links_lead_to_files_of_the_code_that_runs(graph) -> None:
    files = {
        Path(reference.file_path)
        for key in graph.get_all_asset_keys()
        if "dagster/code_references" in graph.get(key).metadata
        for reference in graph.get(key).metadata["dagster/code_references"].code_references
    }
    assert {path for path in files if not path.is_file()} == set()
    (risk,) = graph.get(table_key("XNYS", "risk_report")).metadata["dagster/code_references"].code_references
    line = Path(risk.file_path).read_text(encoding="utf-8").splitlines()[risk.line_number - 1 :]
    assert Path(risk.file_path).name == "research.py"
    assert any("def risk_report(" in text for text in line[:12])


def test_a_column_shows_what_it_is_made_of_in_its_own_exchange(graph) -> None:
    lineage = graph.get(dg.AssetKey(["XNYS", "scanners", "breakout_20d"])).metadata["dagster/column_lineage"]
    entry = {(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage.deps_by_column["entry_price"]}
    assert entry == {("XNYS/scan/day_so_far", "last_price")}


def test_the_report_is_linked_where_something_serves_it(settings: Settings) -> None:
    served = settings.model_copy(update={"exchanges": ("XNYS",), "reports_url": "http://127.0.0.1:3001/"})
    node = build_definitions(served).resolve_asset_graph().get(table_key("XNYS", "risk_report"))
    assert node.metadata["open_report"] == dg.MetadataValue.url("http://127.0.0.1:3001/XNYS_breakout_20d_risk.html")
    board = build_definitions(served).resolve_asset_graph().get(table_key("XNYS", "scoreboard"))
    assert board.metadata["open_report"] == dg.MetadataValue.url("http://127.0.0.1:3001/XNYS_scoreboard.html")


def test_no_two_assets_are_stored_under_one_name(graph, settings: Settings) -> None:
    """Dagster shows assets of one table name as linked, and leads a dependency on the one to the other."""
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    names = Counter(str(n.metadata["dagster/table_name"]).lower() for n in nodes if "dagster/table_name" in n.metadata)
    assert {name for name, count in names.items() if count > 1} == set()
    assert names.total() > len(nodes) * 0.8
    for table in ("bars_daily", "scanner_signals", "risk_var"):
        asset = graph.get(table_key("XNYS", {"risk_var": "risk_report"}.get(table, table))).metadata
        uri = f"{settings.lake_root}/XNYS/{table}"
        assert (asset["dagster/table_name"], asset["dagster/storage_kind"]) == (f"XNYS.{table}", "delta")
        assert str(getattr(asset["dagster/uri"], "value", asset["dagster/uri"])) == uri


def test_a_model_shows_its_text_below_a_first_line_in_words(graph) -> None:
    model = graph.get(dg.AssetKey(["XNYS", "scanners", "breakout_20d"]))
    first, text = str(model.description).split("\n\n", 1)
    assert first.startswith("Twenty-day breakout on volume.")
    assert "\n" not in first.strip()
    assert text.startswith("```sql\n")
    (reference,) = model.metadata["dagster/code_references"].code_references
    assert Path(reference.file_path).name == "breakout_20d.sql"


def test_every_check_says_in_words_what_it_asks(graph) -> None:
    checks = {spec.key: spec for assets in graph.assets_defs for spec in assets.check_specs}
    assert {f"{key.asset_key.to_user_string()}:{key.name}" for key, spec in checks.items() if not spec.description} == set()
    of_type = dg.AssetCheckKey(table_key("XNYS", "scanner_signals"), "signal_type_is_an_accepted_value")
    assert checks[of_type].description == "signal_type is one of BUY, SELL."


def test_every_check_has_a_name_that_reads_as_words(graph) -> None:
    """dbt's own names list every argument of a test; `name:` in its yml gives a better one."""
    names = {spec.name for assets in graph.assets_defs for spec in assets.check_specs}
    assert {name for name in names if len(name) > 40 or "__" in name} == set()
    assert {"key_is_unique", "required_columns_are_filled", "prices_are_usable"} <= names


def test_what_the_lake_keeps_has_sessions_and_what_lives_for_one_run_has_none(graph) -> None:
    """A helper with sessions would show them as missing for ever: nobody records them, it is gone with its build."""
    for key in graph.executable_asset_keys:
        if len(key.path) == 3:
            assert graph.get(key).partitions_def is None, key
    made = {key.path[1] for key in graph.executable_asset_keys if len(key.path) == 2 and graph.get(key).partitions_def}
    without = {"backtest_runs", "risk_report", "scanner_performance", "scoreboard", "release", "signals_live"}
    kept = {key.path[1] for key in graph.executable_asset_keys if len(key.path) == 2} - without
    assert made == kept


def test_exchanges_have_the_same_assets_under_their_own_names(graph) -> None:
    by_mic = {mic: {tuple(k.path[1:]) for k in graph.executable_asset_keys if k.path[0] == mic} for mic in MICS}
    assert by_mic["XNSE"] == by_mic["XNYS"]
    assert sum(map(len, by_mic.values())) == len(graph.executable_asset_keys)
    crossing = [(a, b) for a in graph.get_all_asset_keys() for b in graph.get(a).parent_keys if a.path[0] != b.path[0]]
    assert crossing == []


def test_every_gate_check_blocks_and_is_a_step_of_its_own(graph, definitions: dg.Definitions) -> None:
    """Blocking means: what lies downstream of the staged table does not run. A check inside a step that makes assets cannot."""
    for mic in MICS:
        job = definitions.resolve_job_def(ingest_job_name(mic))
        for table in INGESTED:
            check = dg.AssetCheckKey(staged_key(mic, table), f"gate_{table}")
            assert graph.get(check).blocking
            assert list(graph.get_check_keys_for_assets({staged_key(mic, table)})) == [check]
            ops = [a for a in graph.assets_defs if check in a.check_keys]
            assert [list(op.keys) for op in ops] == [[]]
            assert check in job.asset_layer.asset_graph.asset_check_keys
            assert staged_key(mic, table) in graph.get(table_key(mic, table)).parent_keys


def test_the_freshness_check_of_an_exchange_without_bars_is_red(home: Settings) -> None:
    job = dg.Definitions(
        asset_checks=[freshness_check("XNYS")],
        jobs=[dg.define_asset_job("look", selection=dg.AssetSelection.all_asset_checks())],
        resources={"marketlake": MarketlakeResource.from_settings(home)},
    ).resolve_job_def("look")
    (found,) = job.execute_in_process().get_asset_check_evaluations()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "XNYS has no bars; run `marketlake ingest" in str(found.description)


def test_dbt_owns_no_check_on_staged_or_ingested_tables(settings: Settings) -> None:
    """A dbt test of a source that became a check on the lake asset would silently disarm the gate's block."""
    for mic in MICS:
        gated = {key for table in INGESTED for key in (staged_key(mic, table), table_key(mic, table))}
        owned = {check.asset_key for check in model_assets(mic, HomeProject.from_settings(settings)).check_keys}
        assert owned
        assert owned & gated == set()


def test_no_check_of_dbt_blocks(settings: Settings) -> None:
    """A failed test fails dbt, and its step before the commit. Of a blocking check Dagster wants a result, also of one not run."""
    checks = list(model_assets("XNYS", HomeProject.from_settings(settings)).check_specs)
    assert checks
    assert [spec.name for spec in checks if spec.blocking] == []


def test_the_nightly_job_makes_everything_that_ingest_and_live_scan_do_not(graph, definitions: dg.Definitions) -> None:
    for mic in MICS:
        ingest = definitions.resolve_job_def(ingest_job_name(mic)).asset_layer.executable_asset_keys
        nightly = definitions.resolve_job_def(nightly_job_name(mic)).asset_layer.executable_asset_keys
        assert ingest & nightly == set()
        rest = {k for k in graph.executable_asset_keys if k.path[0] == mic} - ingest - nightly
        assert rest == {table_key(mic, "signals_live")}
        assert table_key(mic, "release") in nightly


def test_a_run_waits_for_another_writer_as_long_as_the_settings_say(definitions: dg.Definitions, settings: Settings) -> None:
    """Not as long as a command does, which by default waits not at all."""
    lock = (definitions.resources or {})["lock"]
    assert (lock.wait_seconds, settings.wait_seconds) == (3600.0, 0.0)
    assert lock.wait_seconds == settings.run_wait_seconds


def test_a_released_table_is_made_before_the_release(graph) -> None:
    """The release waits for whatever it publishes, directly, through what it waits for, or as that comes from the same step."""
    for mic in MICS:
        before = graph.get_ancestor_asset_keys(table_key(mic, "release"))
        made = {k for k in graph.executable_asset_keys if k.path[0] == mic and len(k.path) == 2}
        after = {table_key(mic, "signals_live"), table_key(mic, "release")}
        (models,) = {graph.get(k).assets_def for k in before if k == table_key(mic, "scanner_signals")}
        assert {k.to_user_string() for k in made - before - after - models.keys} == set()


def test_the_workspace_file_loads_these_definitions() -> None:
    root = Path(__file__).parents[3]
    assert "pipelines.definitions" in (root / "workspace.yaml").read_text()


def test_the_command_dg_is_pointed_at_the_one_object_that_it_takes_for_definitions() -> None:
    """`dg` names a module and no attribute: Dagster looks for what `dg.definitions` marks, and refuses a module with two."""
    section = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dg"]
    assert section["directory_type"] == "project"
    target = importlib.import_module(section["project"]["code_location_target_module"])
    assert importlib.util.find_spec(section["project"]["root_module"]) is not None
    marked = type(dg.definitions(lambda: dg.Definitions()))  # noqa: PLW0108 - it looks at the function's parameters
    assert [name for name, value in vars(target).items() if isinstance(value, marked | dg.Definitions)] == ["defs"]


def test_the_nightly_backtest_is_told_how_many_scanners_were_tried(home, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.backtest import unchanged
    from pipelines.orchestration.assets import research
    from pipelines.orchestration.resources import MarketlakeResource, WriterLock

    asked: dict[str, object] = {}
    monkeypatch.setattr(unchanged, "run_nightly", lambda *_, **given: asked.update(given))
    monkeypatch.setattr(research, "current_plan", lambda *_: {"full": False})
    given = MarketlakeResource.from_settings(home)
    research.research_assets("XNSE", lambda *_: {})[0](dg.build_asset_context(), marketlake=given, lock=WriterLock(home=given.home))
    assert asked["trials"] == len(given.project.declared_scanners()) >= 19
    assert (asked["costs"], asked["fills"]) == (given.costs, given.fill_rules)
