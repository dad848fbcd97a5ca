"""Identity of signals: the hash of a scanner's parameters, and the id that follows from it.

Lives here: the same two hashes that `marts.scanner_signals` makes, so that others can tell parameters apart and recognise an id.
Does not live here: parameters and their defaults (`registry.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache

import duckdb


def parameters_hash(values: Mapping[str, float | str]) -> str:
    """SHA-256 of `name=value;…` by name, as the mart writes it; of nothing the empty text."""
    if not values:
        return ""
    texts = {name: value if isinstance(value, str) else _spelled(float(value).hex()) for name, value in sorted(values.items())}
    return hashlib.sha256(";".join(f"{name}={text}" for name, text in texts.items()).encode()).hexdigest()


@cache
def _spelled(number: str) -> str:
    """A number, given as `float.hex`, the way DuckDB spells it, which is not Python's way."""
    text: str = _speller().cursor().execute("select cast(? as varchar)", [float.fromhex(number)]).fetchall()[0][0]
    return text


@cache
def _speller() -> duckdb.DuckDBPyConnection:
    """One database for all numbers: to open one takes a hundred times as long as to ask it."""
    return duckdb.connect()


def signal_id(
    scanner: str, version: int, parameters: str, instrument_id: str, session: date, ts: datetime, signal_type: str
) -> str:
    """Id of a signal. `parameters`: their hash; `ts`: the moment of decision, UTC."""
    parts = (scanner, version, parameters, instrument_id, session.isoformat(), f"{ts:%Y-%m-%dT%H:%M:%SZ}", signal_type)
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()
