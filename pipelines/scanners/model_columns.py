"""Columns of scanner models in their yml, as far as they are columns of signals: those follow the schema of `scanner_signals`.

Lives here: `with_signal_columns`.
Does not live here: the rest of that yml, which people write; generated models of rules (`rules/model.py`).
"""

from __future__ import annotations

import re

from pipelines.dbt.model_docs import column_entry, inline_yml
from pipelines.market.schema import TableSchema

#: Columns whose meaning differs from scanner to scanner: of these the type alone follows.
_OWN_MEANING = frozenset({"entry_price", "details"})
_COLUMN = re.compile(
    r"^(?P<name> +- name: (?P<column>\w+)\n)(?P<indent> +)data_type: .+\n +description: (?P<description>.+)\n", re.MULTILINE
)


def with_signal_columns(signals: TableSchema, written: str) -> str:
    """The yml of a scanner as `written` by people, with type and meaning of the columns that it shares with signals."""
    columns = {column.name: column for column in signals.columns}

    def described(block: re.Match[str]) -> str:
        column = columns.get(block["column"])
        if column is None:
            return block[0]
        entry = column_entry(column)
        meaning = block["description"] if column.name in _OWN_MEANING else inline_yml(entry["description"])
        return f"{block['name']}{block['indent']}data_type: {entry['data_type']}\n{block['indent']}description: {meaning}\n"

    return _COLUMN.sub(described, written)
