"""Sensors: the inbox of live bars, and runs whose process is gone.

Lives here: launching one live scan per batch; failing dead runs while the daemon is up.
Does not live here: what a batch is (`live/inbox.py`) and the scan (`live/scan.py`).
"""

from pathlib import Path

import dagster as dg

from pipelines.live.inbox import batches_after, inbox_folder, run_key
from pipelines.orchestration.instance import fail_dead_runs
from pipelines.orchestration.jobs import live_scan_job_name

#: Batches taken up by one tick; a feed that was off for long is worked off over several.
_BATCHES_PER_TICK = 20


def live_sensor(mic: str, inbox: Path) -> dg.SensorDefinition:
    """A run per new file in `<inbox>/<MIC>`; the run key is the file's content, so the same bytes are scanned once."""
    folder = inbox_folder(inbox, mic)

    @dg.sensor(
        name=f"{mic}_live_inbox",
        job_name=live_scan_job_name(mic),
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Scans each batch of closed one-minute bars that appears in {folder}.",
    )
    def inbox_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        batches = batches_after(folder, context.cursor)[:_BATCHES_PER_TICK]
        if not batches:
            return dg.SkipReason(f"no new batch in {folder}")
        requests = [
            dg.RunRequest(
                run_key=run_key(mic, folder / batch.name),
                run_config={"ops": {f"{mic}__signals_live": {"config": {"file": batch.name}}}},
                tags={"marketlake/batch": batch.name},
            )
            for batch in batches
        ]
        return dg.SensorResult(run_requests=requests, cursor=batches[-1].cursor)

    return inbox_sensor


def dead_run_sensor() -> dg.SensorDefinition:
    """Fails runs whose process was killed, so that the writer's place in the queue is free again."""

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs as failed whose process no longer exists.",
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        dead = fail_dead_runs(context.instance)
        return dg.SkipReason(f"failed {', '.join(dead)}: their processes are gone" if dead else "every unfinished run is at work")

    return dead_runs
