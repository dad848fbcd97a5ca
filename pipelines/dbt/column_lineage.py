"""Which columns of its parents each column of a model is made of, read from the models' compiled SQL.

Lives here: `read_column_lineage`, kept beside the manifest; sqlglot reads the SQL, nothing is run.
Does not live here: showing it (`orchestration/assets/model_specs.py`), models in Python, whose columns no SQL tells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from pipelines.whole_files import write_whole

#: By unique id of a model and name of a column: what it is made of, as (unique id of the parent, column there), sorted.
Lineage = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]
_FILE = "column_lineage.json"
#: Of this file's content; a file of another version is made anew.
_VERSION = 1
#: sqlglot reads its arguments as the standard's `key: value`, and stumbles over a comparison among them.
_JSON_OBJECT = re.compile(r"\bjson_object\s*\(", re.IGNORECASE)


def read_column_lineage(manifest: Path, lake_columns: Callable[[], Mapping[str, Sequence[str]]]) -> Lineage:
    """The column lineage of a manifest's SQL models: from the file beside it, which is made when it is older than the manifest.

    `lake_columns`: those of the relations that the models start from, by `schema.name`; called where the file is to be made.
    """
    kept = manifest.with_name(_FILE)
    if kept.is_file() and kept.stat().st_mtime >= manifest.stat().st_mtime:
        content = json.loads(kept.read_text(encoding="utf-8"))
        if content["version"] == _VERSION:
            return _read(content["models"])
    models = trace_columns(json.loads(manifest.read_text(encoding="utf-8")), lake_columns())
    # Another process may read it meanwhile.
    write_whole(kept, json.dumps({"version": _VERSION, "models": models}, sort_keys=True))
    return models


def _read(models: Mapping[str, Mapping[str, list[list[str]]]]) -> Lineage:
    return {
        model: {name: [(parent, column) for parent, column in made_of] for name, made_of in columns.items()}
        for model, columns in models.items()
    }


def trace_columns(manifest: Mapping[str, Any], lake_columns: Mapping[str, Sequence[str]]) -> Lineage:
    """As `read_column_lineage`, of a manifest in memory. A model whose SQL sqlglot cannot follow is left out."""
    from sqlglot.errors import SqlglotError

    models = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    relations = {f"{n['schema']}.{n['name']}": key for key, n in [*models.items(), *manifest["sources"].items()]}
    known = {relation: list(names) for relation, names in lake_columns.items()}
    parents = {key: [parent for parent in node["depends_on"]["nodes"] if parent in models] for key, node in models.items()}
    lineage: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for key in TopologicalSorter(parents).static_order():
        node = models[key]
        if node["language"] != "sql":
            known[f"{node['schema']}.{node['name']}"] = _columns_of_python_model(node, lake_columns)
            continue
        try:
            traced = _trace(node["compiled_code"], known)
        except SqlglotError:
            continue
        known[f"{node['schema']}.{node['name']}"] = list(traced)
        lineage[key] = {
            name: sorted((relations[relation], column) for relation, column in made_of if relation in relations)
            for name, made_of in traced.items()
        }
    return lineage


def _columns_of_python_model(node: Mapping[str, Any], lake_columns: Mapping[str, Sequence[str]]) -> list[str]:
    """What a kernel's model returns: the lake table of its name, without what the commit adds, and the state it carries."""
    columns = lake_columns.get(f"lake.{node['name'].removeprefix('int_')}", node["columns"])
    return [*(name for name in columns if name != "session_year"), "state"]


def _trace(sql: str, known: Mapping[str, Sequence[str]]) -> dict[str, set[tuple[str, str]]]:
    """Columns that a query makes, each with the columns of relations (`schema.name`) that it is made of."""
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    schema: dict[str, Any] = {}
    for relation, names in known.items():
        folder, name = relation.split(".")
        schema.setdefault(folder, {})[name] = dict.fromkeys(names, "unknown")
    query: Any = qualify(
        parse_one(_JSON_OBJECT.sub("json_pack(", sql), dialect="duckdb"),
        dialect="duckdb",
        schema=schema,
        validate_qualify_columns=False,
        identify=False,
        quote_identifiers=False,
    )
    scope = build_scope(query)
    if scope is None:
        return {}
    tracer = _Tracer()
    names = _names(query)
    if "*" in names:
        raise SqlglotError("a star stands for columns that are not known")
    return {name: tracer.origins(scope, position) for position, name in enumerate(names)}


class _Tracer:
    """Follows columns through the scopes of one query; what was followed once is remembered, since CTEs are read many times."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], set[tuple[str, str]]] = {}

    def origins(self, scope: Any, position: int) -> set[tuple[str, str]]:
        """Columns of relations behind the column of a scope at a position."""
        key = (id(scope), position)
        if key not in self._found:
            # Of a recursive CTE the column leads back to itself: what its other branch is made of is all there is.
            self._found[key] = set()
            self._found[key] = set(self._origins(scope, position))
        return self._found[key]

    def _origins(self, scope: Any, position: int) -> Iterator[tuple[str, str]]:
        if scope.set_operation_scopes:
            for branch in scope.set_operation_scopes:
                if not scope.expression.args.get("by_name"):
                    yield from self.origins(branch, position)
                elif (name := _names(scope.expression)[position]) in (names := _names(branch.expression)):
                    yield from self.origins(branch, names.index(name))
            return
        selects = scope.expression.selects
        if position < len(selects):
            yield from self._behind(scope, selects[position])

    def _behind(self, scope: Any, expression: Any) -> Iterator[tuple[str, str]]:
        """Columns of relations behind the columns in an expression of a scope, those of its scalar subqueries too."""
        from sqlglot import exp

        inner = [each for each in scope.subquery_scopes if _within(each.expression, expression)]
        for column in expression.find_all(exp.Column):
            holder = next((each for each in inner if column.table in each.sources and _within(column, each.expression)), scope)
            yield from self._of_source(holder, column)

    def _of_source(self, scope: Any, column: Any) -> Iterator[tuple[str, str]]:
        from sqlglot import exp

        source = scope.sources.get(column.table)
        if isinstance(source, exp.Table):
            yield f"{source.db}.{source.name}", column.name
        elif source is not None and source.is_udtf:
            # unnest(…) as rows: made of whatever is unnested.
            yield from self._behind_udtf(scope, source)
        elif source is not None:
            names = _names(source.expression)
            if column.name in names:
                yield from self.origins(source, names.index(column.name))

    def _behind_udtf(self, scope: Any, source: Any) -> Iterator[tuple[str, str]]:
        from sqlglot import exp

        for column in source.expression.find_all(exp.Column):
            if column.table in scope.sources and scope.sources[column.table] is not source:
                yield from self._of_source(scope, column)


def _names(expression: Any) -> list[str]:
    """Names of the columns of a query; a union by name has those that only its later branches have too."""
    if expression.args.get("by_name"):
        return list(dict.fromkeys([*_names(expression.this), *_names(expression.expression)]))
    # Rows that stand in the query itself (`values`) have no columns to select from.
    return list(getattr(expression, "named_selects", []))


def _within(expression: Any, ancestor: Any) -> bool:
    """Whether an expression is, or stands within, another one."""
    while expression is not None and expression is not ancestor:
        expression = expression.parent
    return expression is not None
