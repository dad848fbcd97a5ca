"""The yml of models that follow a table schema is the one that the schema gives."""

import pytest

from pipelines.dbt.model_docs import ModelDoc, model_docs, path_of, render
from pipelines.package_data import shipped


@pytest.mark.parametrize("doc", model_docs(), ids=lambda doc: doc.model)
def test_committed_yml_equals_the_schema(doc: ModelDoc) -> None:
    committed = path_of(doc, shipped("dbt_project")).read_text(encoding="utf-8")

    assert committed == render(doc), "run python -m pipelines.dbt.model_docs"
