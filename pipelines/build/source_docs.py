"""The yml of dbt's sources: every relation of schema `lake` with its columns, made from the table schemas.

Lives here: `render_sources`, and what is tested of windows.
Does not live here: making the relations (`lake_schema.py`, `database.py`), the yml of models (`dbt/model_docs.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.build.database import RECORDS, replaced_tables
from pipelines.build.lake_schema import CARRIED_FORWARD
from pipelines.build.plan import INPUTS
from pipelines.dbt.model_docs import column_entry, yml_text
from pipelines.market.schema import TableSchema
from pipelines.market.tables.build_inputs import BUILD_INPUTS

#: Where the yml lies in the dbt project.
SOURCES_PATH = Path("models") / "staging" / "_lake.yml"

_DESCRIPTION = (
    "Pinned versions of the lake's tables and the window to build, prepared before each run (pipelines/build/database.py)."
)
_OF_SESSIONS_LOOKED_BACK_ON = "As last built; sessions that this build may look back on."
#: What schema `lake` holds of a table, where that is not said by its kind.
_HELD = {
    "sessions": "",
    "intraday_curves": _OF_SESSIONS_LOOKED_BACK_ON,
    "intraday_profiles": _OF_SESSIONS_LOOKED_BACK_ON,
    "scanner_signals": "Those on record in the last release, a full build's too; of the sessions that this build scans.",
    "scanner_signals_superseded": "Of the sessions that this build scans.",
}


def render_sources(tables: Mapping[str, TableSchema], build_inputs: Mapping[str, TableSchema] = BUILD_INPUTS) -> str:
    """The text of the yml. tables: the lake's, those of the built-in indicators among them."""
    kinds = {
        **dict.fromkeys(INPUTS, "Whole history."),
        "sessions": "",
        **dict.fromkeys(replaced_tables(INPUTS), "Read them with the macro as_of."),
        **dict.fromkeys(CARRIED_FORWARD, "As last built."),
        **dict.fromkeys(replaced_tables(RECORDS), ""),
        **_HELD,
    }
    stored = [_table(tables[name], held) for name, held in kinds.items()]
    prepared = [_table(schema, "") for schema in build_inputs.values()]
    source = {"name": "lake", "schema": "lake", "description": _DESCRIPTION, "tables": [*stored, *prepared]}
    return yml_text({"sources": [source]})


def _table(schema: TableSchema, held: str) -> dict[str, Any]:
    columns = [column_entry(column) for column in schema.columns]
    for entry in columns:
        if tests := _TESTS.get(schema.name, {}).get(entry["name"]):
            entry["data_tests"] = tests
    return {"name": schema.name, "description": f"{schema.description} {held}".strip(), "columns": columns}


#: A scanner judges the instruments of the list: one that is missing there would silently never be scanned. One whose bars were all
#: withdrawn has a window of what is to be removed, and is no instrument any more.
_IS_LISTED = {
    "relationships": {
        "arguments": {"to": "source('lake', 'instruments')", "field": "instrument_id"},
        "config": {"where": "instrument_id in (select bars.instrument_id from lake.bars_daily as bars)"},
    }
}
_TESTS: Mapping[str, Mapping[str, list[Any]]] = {
    "window_daily": {"instrument_id": ["unique", "not_null", _IS_LISTED]},
    "window_1m": {"instrument_id": ["unique", "not_null"]},
}
