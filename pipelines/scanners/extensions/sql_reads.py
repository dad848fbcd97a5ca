"""What the SQL of an added scanner reads and calls, found by parsing it: relations of schema `scan`, and the same at every run.

Lives here: `sql_faults`, for SQL as dbt has rendered it, and `template_faults`, for the text before.
Does not live here: whose SQL it is and what becomes of it (`plugins.py`, `smoke_test.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import jinja2
import sqlglot
from jinja2 import meta
from sqlglot import exp

SCHEMA = "scan"
KNOWN_AT = "known_at"

#: Macros that a scanner's text may call, and names of Jinja itself.
_CALLABLE = frozenset(
    {
        *("scan", "scanner_parameters", "signal_rows", "judged_at_close", "crossings", "exact_sign", "scan_reach", "swing_reach"),
        *("breakout_beyond", "opening_range", "session_against_usual", "range", "config"),
    }
)
#: Functions that make rows of their arguments alone.
_ROW_FUNCTIONS = frozenset({"unnest", "generate_series", "range", "generate_subscripts"})
#: Functions whose result depends on when, where or how often a query runs.
_NOT_REPEATABLE = frozenset(
    {
        *("now", "today", "current_date", "current_time", "current_timestamp", "current_datetime", "localtime", "localtimestamp"),
        *("get_current_timestamp", "get_current_time", "transaction_timestamp", "random", "rand", "randn", "setseed"),
        *("uuid", "uuidv4", "uuidv7", "gen_random_uuid", "nextval", "currval", "getenv", "getvariable", "current_setting"),
        *("txid_current", "current_user", "session_user", "user", "version", "current_database", "current_catalog"),
        *(
            "current_schema",
            "current_schemas",
            "pg_backend_pid",
            "current_localtime",
            "current_localtimestamp",
            "query",
            "query_table",
        ),
    }
)
#: sqlglot reads its arguments as the standard's `key: value`, and stumbles over a comparison among them.
_JSON_OBJECT = re.compile(r"\bjson_object\s*\(", re.IGNORECASE)
#: What would make a time other than one of those it is made of, or the earlier one of several.
_EARLIER = (exp.Literal, exp.Interval, exp.Binary, exp.Least, exp.Min)
_ALLOWED = "a scanner reads relations of schema scan, each through scan('…') (docs/scanners.md), and nothing else"


def template_faults(text: str) -> list[str]:
    """What a model's text, before dbt renders it, calls that a scanner may not; empty where all is well."""
    try:
        tree = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False).parse(text)  # noqa: S701  # parsed, never rendered
    except jinja2.TemplateSyntaxError as error:
        return [f"line {error.lineno} is no template: {error.message}"]
    called = sorted(meta.find_undeclared_variables(tree) - _CALLABLE)
    return [f"uses {name}(); {_ALLOWED}; its text may call {', '.join(sorted(_CALLABLE))}" for name in called]


def sql_faults(sql: str, registered: Collection[str]) -> list[str]:
    """What the SQL of a scanner reads or calls that it may not, as sentences without a subject; empty where all is well.

    registered: relations of schema `scan` that were asked for through `scan('…')`, by name.
    """
    try:
        statements = sqlglot.parse(_JSON_OBJECT.sub("json_pack(", sql), read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        return [f"cannot be parsed as SQL of DuckDB: {' '.join(str(error).split())[:200]}"]
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        return ["is not one SELECT statement"]
    tree = statements[0]
    return list(dict.fromkeys([*_relations(tree, registered), *_functions(tree), *_known_at(tree)]))


def _relations(tree: exp.Expr, registered: Collection[str]) -> Iterator[str]:
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            name = _function_name(table.this)
            if name not in _ROW_FUNCTIONS:
                yield f"reads {name or table.sql('duckdb')}(…); {_ALLOWED}"
            continue
        parts = [part.name for part in table.parts]
        if len(parts) == 1 and _is_cte(table, parts[0]):
            continue
        name = ".".join(parts)
        if len(parts) != 2 or parts[0].lower() != SCHEMA:
            yield f"reads {name}; {_ALLOWED}"
        elif parts[1].lower() not in registered:
            yield f"reads {name} by its bare name; write {{{{ scan('{parts[1]}') }}}}, so that it is made before the scanner runs"


def _functions(tree: exp.Expr) -> Iterator[str]:
    for function in tree.find_all(exp.Func):
        name = _function_name(function)
        if name in _NOT_REPEATABLE:
            yield f"calls {function.sql('duckdb')}; a scanner decides the same at every run: take the time from as_of_ts"
    if tree.find(exp.TableSample):
        yield "samples rows; a scanner decides the same whenever it runs"


def _known_at(tree: exp.Query) -> Iterator[str]:
    """What known_at, and the columns that it is carried on from, are made of besides known_at of the rows read."""
    made: dict[str, list[exp.Expr]] = {}
    for alias in tree.find_all(exp.Alias):
        made.setdefault(alias.alias.lower(), []).append(alias.this)
    followed: set[str] = set()
    waiting = [KNOWN_AT]
    while waiting:
        name = waiting.pop()
        followed.add(name)
        for expression in made.get(name, []):
            nodes = list(_values(expression))
            columns = {node.name.lower() for node in nodes if isinstance(node, exp.Column)}
            # A column that nothing in the text makes comes from a relation: of these only known_at says when a row was known.
            if any(isinstance(node, _EARLIER) for node in nodes) or not columns & {KNOWN_AT, *made}:
                yield (
                    f"sets {name} to {expression.sql('duckdb')}; {KNOWN_AT} is worked out from the rows that scan('…') gave: "
                    "leave it out, or carry theirs on"
                )
            waiting.extend((columns & made.keys()) - followed - {"as_of_ts"})


def _values(expression: exp.Expr) -> Iterator[exp.Expr]:
    """Nodes that the value is taken from: not the conditions of a filter, a window or a case."""
    if isinstance(expression, exp.Filter | exp.Window):
        yield from _values(expression.this)
    elif isinstance(expression, exp.Case):
        for branch in [*(part.args["true"] for part in expression.args["ifs"]), expression.args.get("default")]:
            yield from _values(branch) if branch is not None else ()
    elif isinstance(expression, exp.ArgMax | exp.ArgMin):
        yield from _values(expression.this)
    else:
        yield expression
        for part in expression.iter_expressions():
            yield from _values(part)


def _function_name(function: exp.Expr) -> str:
    if isinstance(function, exp.Anonymous):
        return str(function.name).lower()
    return function.sql_name().lower() if isinstance(function, exp.Func) else ""


def _is_cte(table: exp.Table, name: str) -> bool:
    """Whether a WITH around the table defines the name."""
    node: exp.Expr | None = table
    while node is not None:
        clause = node.args.get("with_") or node.args.get("with")
        if clause and any(cte.alias.lower() == name.lower() for cte in clause.expressions):
            return True
        node = node.parent
    return False
