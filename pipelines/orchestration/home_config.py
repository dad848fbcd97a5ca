"""The configuration of Dagster's instance in a marketlake home.

Lives here: `dagster.yaml`, making it, and where Dagster's history is kept. Imports nothing of Dagster, so that a command can
start Dagster's programs without waiting for that import first.
Does not live here: opening the instance (`instance.py`), the storages themselves (`compat/`), the environment of Dagster's
programs (`cli/dagster_process.py`).
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pipelines.settings import Settings
from pipelines.user_files import UserFileError

#: The variable by which `dagster.yaml` refers to the database: neither the file nor a command line of Dagster holds the password.
POSTGRES_URL: Final = "MARKETLAKE_DAGSTER_POSTGRES_URL"

_SQLITE = """\
event_log_storage:
  module: pipelines.orchestration.event_log
  class: SessionEventLog
  config:
    base_dir: {history}
"""
_POSTGRES = f"""\
storage:
  custom:
    module: pipelines.orchestration.compat.postgres_storage
    class: SessionPostgresStorage
    config:
      postgres_url:
        env: {POSTGRES_URL}
"""
_CONFIG = """\
# Written by marketlake when the home is set up; edit as you like.
telemetry:
  enabled: false
# The dialog that greets a first visit: an invitation to write to Dagster's makers.
nux:
  enabled: false
{storage}\
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_concurrent_runs: 4
    tag_concurrency_limits:
      - {{key: marketlake/writer, limit: 1}}
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
  cancel_timeout_seconds: 120
retention:
  sensor:
    purge_after_days: {{skipped: 7, failure: 30, success: -1}}
"""


#: The line of `dagster.yaml` that names the folder of the history in a home, quoted or as earlier versions wrote it.
_NO_DATABASE = "it is no SQLite database"
_SECONDS_FOR_A_WRITER = 1.0
_HISTORY = re.compile(r"""^( *base_dir: )["']?(/.*/\.state/dagster)/history["']?$""", re.MULTILINE)


class HistoryUnavailableError(RuntimeError):
    """The database of Dagster's history cannot be used. The message says why, and nothing of a password."""


def prepare_home(settings: Settings) -> Path:
    """Make the home's DAGSTER_HOME, with its dagster.yaml. Returns it.

    Raises UserFileError where the file and the settings name different storages: runs would go where nobody looks for them,
    HistoryUnavailableError where a database of the history is damaged.
    """
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    require_sound_databases(home)
    _write_config(home / "dagster.yaml", settings)
    return home


def require_sound_databases(home: Path) -> None:
    """Raise HistoryUnavailableError where a SQLite file of the history is cut, or is none."""
    for path in (home / "history" / "runs.db", home / "history" / "index.db", home / "schedules" / "schedules.db"):
        if not path.is_file() or not path.stat().st_size:
            continue
        reason = _damage(path)
        if reason is not None:
            raise HistoryUnavailableError(
                f"Dagster's database {path} is damaged ({reason}): move {path.parent} away, and Dagster starts with an empty "
                "history; the lake and its releases do not depend on it"
            )


def _damage(path: Path) -> str | None:
    reason = _short(path)
    if reason is None or reason == _NO_DATABASE:
        return reason
    if any(path.with_name(path.name + ending).exists() for ending in ("-journal", "-wal")):
        # A transaction is under way, or was when its process was killed: then SQLite takes it back when it opens the file.
        return None if _is_sound(path) else reason
    # A transaction may have ended between the looks at the file.
    return _short(path)


def _short(path: Path) -> str | None:
    with path.open("rb") as stream:
        header = stream.read(100)
    if not header.startswith(b"SQLite format 3\0") or len(header) < 100:
        return _NO_DATABASE
    page = int.from_bytes(header[16:18], "big")
    # A page of 65,536 bytes is written as 1.
    pages, size = int.from_bytes(header[28:32], "big"), page if page > 1 else 65_536
    # The count is only valid where the version of the file's last change stands beside it.
    if header[24:28] == header[92:96] and path.stat().st_size < pages * size:
        return f"it has {path.stat().st_size:,} of {pages * size:,} bytes"
    return None


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=_SECONDS_FOR_A_WRITER)) as connection:
            return bool(connection.execute("pragma quick_check(1)").fetchone() == ("ok",))
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    except sqlite3.DatabaseError:
        return False


def named_by_config(settings: Settings) -> dict[str, str]:
    """The variables of the environment that the home's `dagster.yaml` names."""
    url = settings.dagster_postgres_url
    return {} if url is None else {POSTGRES_URL: url.get_secret_value()}


def _write_config(path: Path, settings: Settings) -> None:
    on_postgres = settings.dagster_postgres_url is not None
    if on_postgres and find_spec("dagster_postgres") is None:
        raise UserFileError(f"{POSTGRES_URL} is set, and dagster-postgres is not installed: pip install 'marketlake[postgres]'")
    on_sqlite = _CONFIG.format(storage=_SQLITE.format(history=_quoted(path.parent / "history")))
    wanted = _CONFIG.format(storage=_POSTGRES) if on_postgres else on_sqlite
    present = path.read_text(encoding="utf-8") if path.exists() else None
    if present is not None and (here := _HISTORY.sub(lambda line: _history_here(line, path.parent), present)) != present:
        # Of a copied or moved home: its runs would go into the history of the other.
        path.write_text(here, encoding="utf-8")
        present = here
    if present is None or (on_postgres and _HISTORY.sub(_quoted_line, present) == on_sqlite):
        path.write_text(wanted, encoding="utf-8")
    elif on_postgres and POSTGRES_URL not in present:
        raise UserFileError(
            f"{path} keeps Dagster's history elsewhere, although {POSTGRES_URL} is set: move the file away, and the next command "
            "writes one that keeps it there"
        )
    elif POSTGRES_URL in present and not on_postgres:
        raise UserFileError(
            f"{path} keeps Dagster's history on PostgreSQL, and {POSTGRES_URL} is not set: set it, or move the file away to keep "
            "the history in files of the home"
        )


def _history_here(line: re.Match[str], folder: Path) -> str:
    named = Path(line.group(2))
    return line.group(0) if named.is_dir() and named.samefile(folder) else f"{line.group(1)}{_quoted(folder / 'history')}"


def _quoted_line(line: re.Match[str]) -> str:
    return f"{line.group(1)}{_quoted(Path(line.group(2), 'history'))}"


def _quoted(path: Path) -> str:
    """A path as YAML reads it, whatever letters it has; quotes and backslashes no home has."""
    return json.dumps(str(path), ensure_ascii=False)
