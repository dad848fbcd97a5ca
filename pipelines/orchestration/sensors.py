"""Sensors: the inbox of live bars, and runs whose process is gone.

Lives here: launching one live scan per batch, and another when that run died; failing dead runs while the daemon is up.
Does not live here: what a batch is (`live/inbox.py`), when it is complete (`inbox/watch.py`), the scan (`live/scan.py`).
"""

import time
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from pipelines.inbox.files import InboxFile
from pipelines.inbox.watch import Watch, recall, remember
from pipelines.live.inbox import batches, inbox_folder, run_key
from pipelines.orchestration.failures import died
from pipelines.orchestration.instance import UNFINISHED, fail_dead_runs
from pipelines.orchestration.jobs import live_scan_job_name
from pipelines.settings import Settings

#: Batches taken up by one tick; a feed that was off for long is worked off over several.
_BATCHES_PER_TICK = 20
#: Tag of a run by which the content that it scans is found.
SCAN_TAG = "marketlake/scan"
#: Runs that a batch gets when each of them dies before it ends.
_ATTEMPTS = 3


def live_sensor(mic: str, settings: Settings) -> dg.SensorDefinition:
    """A run per file in `<inbox>/<MIC>` once it is complete, whatever its name's and its own time's place among the others'.

    The run key is the file's content, so the same bytes are scanned once. What cannot be taken is said once, in the sensor's log.
    A run that died (its process was killed, the machine stopped) is repeated; one whose scan failed is not.
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
        remembered = recall(memory, context.cursor)
        files, seen = batches(folder, max_bytes), time.time()
        watch = Watch.from_json(remembered)
        unfinished, repeated = _look_at_runs(context.instance, mic, remembered.get("open", {}), {file.name for file in files})
        settled = _up_to(watch.settled(files, now, settings.inbox_settle_seconds), max_bytes)
        requests: dict[str | None, dg.RunRequest] = {request.run_key: request for request in repeated}
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
        under_way = {request.tags[SCAN_TAG]: request.tags["marketlake/batch"] for request in requests.values()}
        content = {**watch.after(files, settled, seen).to_json(), "open": {**unfinished, **under_way}}
        return dg.SensorResult(
            run_requests=list(requests.values()),
            skip_reason=None if requests else quiet,
            cursor=remember(memory, context.cursor, content),
        )

    return inbox_sensor


def _request_scan(mic: str, folder: Path, name: str) -> dg.RunRequest:
    key = run_key(mic, folder / name)
    return _scan(mic, name, key, key)


def _scan(mic: str, name: str, scan: str, key: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=key,
        run_config={"ops": {f"{mic}__signals_live": {"config": {"file": name}}}},
        tags={"marketlake/batch": name, SCAN_TAG: scan},
    )


def _look_at_runs(
    instance: dg.DagsterInstance, mic: str, scans: Mapping[str, str], there: set[str]
) -> tuple[dict[str, str], list[dg.RunRequest]]:
    """Scans that are not at their end, and requests for those whose run died while their file is still there.

    scans: the file name of each scan that was requested, by its key.
    """
    unfinished: dict[str, str] = {}
    repeated = []
    for scan, name in scans.items():
        runs = [record.dagster_run for record in instance.get_run_records(dg.RunsFilter(tags={SCAN_TAG: scan}))]
        if not runs or UNFINISHED.intersection(run.status for run in runs):
            unfinished[scan] = name
        elif all(died(instance, run) for run in runs) and len(runs) < _ATTEMPTS and name in there:
            repeated.append(_scan(mic, name, scan, f"{scan}-{len(runs) + 1}"))
    return unfinished, repeated


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
