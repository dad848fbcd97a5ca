"""Sensors: the inbox of live bars, and runs whose process is gone.

Lives here: launching one live scan per batch; failing dead runs while the daemon is up.
Does not live here: what a batch is (`live/inbox.py`), when it is complete (`inbox/watch.py`), the scan (`live/scan.py`).
"""

import time
from pathlib import Path

import dagster as dg

from pipelines.inbox.files import InboxFile
from pipelines.inbox.watch import Watch, recall, remember
from pipelines.live.inbox import batches, inbox_folder, run_key
from pipelines.orchestration.instance import fail_dead_runs
from pipelines.orchestration.jobs import live_scan_job_name
from pipelines.settings import Settings

#: Batches taken up by one tick; a feed that was off for long is worked off over several.
_BATCHES_PER_TICK = 20


def live_sensor(mic: str, settings: Settings) -> dg.SensorDefinition:
    """A run per file in `<inbox>/<MIC>` once it is complete, whatever its name's and its own time's place among the others'.

    The run key is the file's content, so the same bytes are scanned once. What cannot be taken is said once, in the sensor's log.
    """
    folder = inbox_folder(settings.inbox_dir, mic)
    max_bytes = settings.max_live_file_mb << 20
    memory = settings.state_dir / "inbox" / f"{mic}_live"

    @dg.sensor(
        name=f"{mic}_live_inbox",
        job_name=live_scan_job_name(mic),
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Scans each batch of closed one-minute bars that appears in {folder}, once it is unchanged for "
        f"{settings.inbox_settle_seconds:g} seconds.",
    )
    def inbox_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = time.time()
        files, watch = batches(folder, max_bytes), Watch.from_json(recall(memory, context.cursor))
        settled = _up_to(watch.settled(files, now, settings.inbox_settle_seconds), max_bytes)
        requests: dict[str | None, dg.RunRequest] = {}
        refused = []
        for file in settled:
            fault = file.fault
            if fault is None:
                try:
                    request = _request_scan(mic, folder, file.name)
                    requests.setdefault(request.run_key, request)
                except OSError as error:
                    fault = f"cannot be read ({error.strerror})"
            if fault is not None:
                refused.append(f"refused: {folder.name}/{file.shown}: {fault}")
        for line in refused:
            context.log.warning(line)
        quiet = dg.SkipReason("; ".join(refused) or f"no new batch in {folder}")
        return dg.SensorResult(
            run_requests=list(requests.values()),
            skip_reason=None if requests else quiet,
            cursor=remember(memory, context.cursor, watch.after(files, settled, now).to_json()),
        )

    return inbox_sensor


def _request_scan(mic: str, folder: Path, name: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=run_key(mic, folder / name),
        run_config={"ops": {f"{mic}__signals_live": {"config": {"file": name}}}},
        tags={"marketlake/batch": name},
    )


def _up_to(files: list[InboxFile], max_bytes: int) -> list[InboxFile]:
    """The first files, as many as one tick reads: a feed that was off for long is worked off over several."""
    taken: list[InboxFile] = []
    size = 0
    for file in files[:_BATCHES_PER_TICK]:
        size += file.size if file.fault is None else 0
        if taken and size > max_bytes:
            break
        taken.append(file)
    return taken


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
