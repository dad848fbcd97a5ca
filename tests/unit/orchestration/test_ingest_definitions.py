"""The ingest job by itself is the job of the code location, and comes without what only other jobs import."""

import subprocess
import sys

import pytest

from pipelines.definitions import build_definitions
from pipelines.orchestration.ingest_definitions import ingest_definitions
from pipelines.orchestration.jobs import ingest_job_name, nightly_job_name
from pipelines.settings import Settings


@pytest.fixture(scope="module", params=[("XNYS",), ("XNSE", "XNYS")], ids=["one exchange", "two exchanges"])
def settings(request, module_dagster_pipeline) -> Settings:
    return module_dagster_pipeline.settings.model_copy(update={"exchanges": request.param})


@pytest.mark.slow
@pytest.mark.measured
def test_it_is_the_same_job(settings: Settings) -> None:
    name = ingest_job_name("XNYS")
    alone = ingest_definitions(settings, "XNYS")
    whole = build_definitions(settings)

    assert alone.resolve_job_def(name).get_job_snapshot_id() == whole.resolve_job_def(name).get_job_snapshot_id()
    groups = {key: node.group_name for key, node in _assets(whole).items()}
    assert {key: node.group_name for key, node in _assets(alone).items()}.items() <= groups.items()


def test_the_nightly_job_is_the_same_without_the_other_exchanges(settings: Settings) -> None:
    name = nightly_job_name("XNYS")
    alone, whole = build_definitions(settings, "XNYS"), build_definitions(settings)

    assert alone.resolve_job_def(name).get_job_snapshot_id() == whole.resolve_job_def(name).get_job_snapshot_id()


@pytest.mark.slow
@pytest.mark.measured
def test_neither_dbt_nor_great_expectations_is_imported_for_it(home: Settings) -> None:
    code = (
        "import sys; from pathlib import Path; import pipelines.orchestration.ingest_run\n"
        "from pipelines.orchestration.ingest_definitions import ingest_definitions; from pipelines.settings import Settings\n"
        f"settings = Settings(home=Path({str(home.home)!r}), exchanges=('XNSE', 'XNYS'))\n"
        "ingest_definitions(settings, 'XNYS').resolve_job_def('XNYS_ingest')\n"
        "print(sorted({'dagster_dbt', 'dbt', 'great_expectations', 'numba'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def _assets(definitions):
    graph = definitions.resolve_asset_graph()
    return {key: graph.get(key) for key in graph.executable_asset_keys}
