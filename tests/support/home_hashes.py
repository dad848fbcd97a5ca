"""Hashes of what a home shows: every published table, every report, the `--json` output of commands that read.

Lives here: recording them and comparing two records, to show that a change of the code changed no result.
Does not live here: processing the shared data to have something to compare (`replay.py`), equality of builds in one home
(`tests/integration/`).

    python -m tests.support.home_hashes record HOME > before.json
    python -m tests.support.home_hashes record HOME --command "scan --at 2014-06-11" > after.json
    python -m tests.support.home_hashes compare before.json after.json

Not counted, because they differ between any two runs: ids of releases and runs, the version of the code, durations, and the moments
at which something was received, set aside, recorded. Rows count in whatever order they lie.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

#: Names of columns, and of fields in JSON, whose values differ between any two runs.
VARYING = {
    *("release_id", "run_id", "code_version", "fingerprint", "built_with", "config"),
    *("execution_time_seconds", "duration_ms", "seconds"),
    *("last_updated", "created_at", "received_at", "quarantined_at"),
}
_IDS = ("release_id", "run_id", "code_version")
#: Commands that read, once for a home, and once for each of its exchanges.
OF_HOME = ("releases", "sources", "indicators", "scanners")
OF_EXCHANGE = ("quarantine list --all", "calendar check")
Run = Callable[[Sequence[str]], tuple[int, str]]
Record = dict[str, dict[str, Any]]


def record(home: Path, run: Run, commands: Sequence[str] = ()) -> Record:
    """Hashes of a home's tables, reports and outputs; `commands` are run beside those that every home has."""
    with duckdb.connect(str(home / "marketlake.duckdb"), read_only=True) as catalogue:
        columns = _columns(catalogue)
        tables = {name: _table(catalogue, name, columns[name]) for name in sorted(columns)}
        ids = sorted(_ids(catalogue, columns), key=lambda text: (-len(text), text))
    hidden = [(str(home.resolve()), "<home>"), (str(home), "<home>"), *((text, "<id>") for text in ids)]
    reports = {
        _hide(path.relative_to(home).as_posix(), hidden): _sha256(_hide_bytes(path.read_bytes(), hidden))
        for path in sorted((home / "reports").rglob("*"))
        if path.is_file()
    }
    exchanges = sorted(path.name for path in (home / "lake").iterdir() if (path / "bars_daily").is_dir())
    asked = [*OF_HOME, *(f"{command} --exchange {mic}" for mic in exchanges for command in OF_EXCHANGE), *commands]
    return {"tables": tables, "reports": reports, "json": {command: _output(run, command, hidden) for command in asked}}


def differences(before: Record, after: Record) -> Iterator[str]:
    """What of two records is not the same, a line each: what is only in one of them, and what has other content."""
    for kind in ("tables", "reports", "json"):
        old, new = before[kind], after[kind]
        for name in sorted(old.keys() | new.keys()):
            if name not in new or name not in old:
                yield f"{kind}: {name}: only {'before' if name in old else 'after'}"
            elif kind == "tables":
                yield from (f"tables: {name}: {what}" for what in _table_differences(old[name], new[name]))
            elif old[name] != new[name]:
                yield f"{kind}: {name}: other content"


def _table_differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    if old["rows"] != new["rows"]:
        yield f"{old['rows']} → {new['rows']} rows"
        return
    columns, found = old["columns"].keys() | new["columns"].keys(), False
    for column in sorted(columns):
        if column not in new["columns"] or column not in old["columns"]:
            yield f"column {column}: only {'before' if column in old['columns'] else 'after'}"
        elif old["columns"][column] != new["columns"][column]:
            yield f"column {column}: other values"
        else:
            continue
        found = True
    if not found and old["hash"] != new["hash"]:
        yield "the same values in other rows"


def _columns(catalogue: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    names = "select table_name, column_name from information_schema.columns order by table_name, ordinal_position"
    for table, column in catalogue.execute(names).fetchall():
        found.setdefault(table, []).append(column)
    return found


def _table(catalogue: duckdb.DuckDBPyConnection, name: str, columns: list[str]) -> dict[str, Any]:
    """Count and hashes: of each column's values, and of whole rows. A sum of hashes is the same in any order of the rows."""
    kept = [column for column in columns if column not in VARYING]
    texts = [f"coalesce('=' || cast({_quoted(column)} as varchar), '')" for column in kept]
    row = "concat_ws(chr(31), " + ", ".join(texts or ["''"]) + ")"
    sums = ", ".join(f"sum(md5_number_lower({text}))::varchar" for text in [row, *texts])
    counted = catalogue.execute(f"select count(*), {sums} from {_quoted(name)}").fetchone()
    assert counted is not None
    rows, whole, *values = counted
    return {"rows": rows, "hash": whole, "columns": dict(zip(kept, values, strict=True))}


def _ids(catalogue: duckdb.DuckDBPyConnection, columns: dict[str, list[str]]) -> set[str]:
    """Every id of a release or a run and every version of the code that is in the catalogue."""
    found: set[str] = set()
    for table, names in columns.items():
        for name in (name for name in _IDS if name in names):
            asked = f"select distinct cast({_quoted(name)} as varchar) from {_quoted(table)} where {_quoted(name)} is not null"
            found |= {text for (text,) in catalogue.execute(asked).fetchall() if text}
    return found


def _output(run: Run, command: str, hidden: list[tuple[str, str]]) -> str:
    """Exit code and hash of what a command prints for machines."""
    code, printed = run([*shlex.split(command), "--json"])
    # What is no JSON, such as what a faulty command says, counts as it is.
    with contextlib.suppress(json.JSONDecodeError):
        printed = json.dumps(_without_varying(json.loads(printed)), sort_keys=True)
    return f"exit {code} {_sha256(_hide(printed, hidden).encode())}"


def _without_varying(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_varying(item) for name, item in value.items() if name not in VARYING}
    return [_without_varying(item) for item in value] if isinstance(value, list) else value


def _hide(text: str, hidden: list[tuple[str, str]]) -> str:
    for found, shown in hidden:
        text = text.replace(found, shown)
    return text


def _hide_bytes(content: bytes, hidden: list[tuple[str, str]]) -> bytes:
    for found, shown in hidden:
        content = content.replace(found.encode(), shown.encode())
    return content


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _process(home: Path, command: str) -> Run:
    def run(words: Sequence[str]) -> tuple[int, str]:
        environment = {**os.environ, "MARKETLAKE_HOME": str(home)}
        exchanges = ",".join(sorted(path.name for path in (home / "lake").iterdir() if (path / "bars_daily").is_dir()))
        environment.setdefault("MARKETLAKE_EXCHANGES", exchanges)
        done = subprocess.run([command, *words], env=environment, cwd=home, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line; 1 when two records differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    recording = actions.add_parser("record", help="print the hashes of a home")
    recording.add_argument("home", type=Path)
    recording.add_argument("--marketlake", default=str(Path(sys.executable).with_name("marketlake")), help="the program to run")
    recording.add_argument("--command", action="append", default=[], help="another command, whose --json output counts")
    comparing = actions.add_parser("compare", help="name what differs between two records")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    given = parser.parse_args(arguments)
    if given.action == "record":
        home = given.home.absolute()
        print(json.dumps(record(home, _process(home, given.marketlake), given.command), indent=1, sort_keys=True))
        return 0
    found = list(differences(*(json.loads(path.read_text(encoding="utf-8")) for path in (given.before, given.after))))
    print("\n".join(found) or "no difference")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
