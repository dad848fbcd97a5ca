"""The configuration of Dagster's instance in a marketlake home.

Lives here: `dagster.yaml`, and making it. Imports nothing of Dagster, so that a command can
start Dagster's programs without waiting for that import first.
Does not live here: opening the instance (`instance.py`), the environment of Dagster's programs
(`cli/dagster_process.py`).
"""

from __future__ import annotations

from pathlib import Path

from pipelines.settings import Settings

_CONFIG = """\
# Written by marketlake when the home is set up; edit as you like.
telemetry:
  enabled: false
event_log_storage:
  module: pipelines.orchestration.event_log
  class: SessionEventLog
  config:
    base_dir: {home}/history
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


def prepare_home(settings: Settings) -> Path:
    """Make the home's DAGSTER_HOME, with its dagster.yaml. Returns it."""
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(_CONFIG.format(home=home), encoding="utf-8")
    return home
