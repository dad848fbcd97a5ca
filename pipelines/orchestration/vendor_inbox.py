"""The inbox of vendor files in Dagster: a sensor that finds deliveries, and the job that ingests one.

Lives here: one run per delivery, and another one when that run died before it could say what became of the delivery.
Does not live here: what a delivery is (`inbox/deliveries.py`), ingesting (`ingest_run.py`, the same as for the command).
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from pipelines.inbox.deliveries import (
    InboxDelivery,
    by_options,
    conclude,
    conclusion,
    confirm,
    load_delivery,
    save_delivery,
    source_files,
    unplaced,
)
from pipelines.inbox.files import InboxFile
from pipelines.inbox.options import reading_of
from pipelines.inbox.watch import Watch, recall, remember
from pipelines.ingest.arrivals import collect
from pipelines.ingest.requests import IngestRequest
from pipelines.live.inbox import SUFFIXES
from pipelines.orchestration.ingest_run import IngestReport
from pipelines.orchestration.instance import UNFINISHED
from pipelines.orchestration.jobs import WRITER, delivery_job_name
from pipelines.orchestration.metadata import preview
from pipelines.orchestration.resources import MarketlakeResource, WriterLock
from pipelines.settings import Settings
from pipelines.sources.registry import load_sources, source
from pipelines.storage.location import Lake

#: Runs the ingest job for a request.
Ingest = Callable[[Settings, IngestRequest], IngestReport]
#: Tag of a run by which its delivery is found.
DELIVERY_TAG = "marketlake/delivery_id"
#: Runs that a delivery gets when each of them dies without a conclusion.
_ATTEMPTS = 3
_LONGEST_TAG = 100
#: Key of what lies beside the sources' folders; no source can be called that.
_BESIDE = ""


class DeliveryToTake(dg.Config):
    """A delivery that the sensor found, by its id in the state folder."""

    delivery_id: str


@dataclass
class _Visit:
    """One look at an exchange's inbox: what it launches, what it says, what it remembers."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    #: Deliveries without a conclusion.
    open: set[str] = field(default_factory=set)
    watches: dict[str, Watch] = field(default_factory=dict)

    def refuse(self, files: Iterable[InboxFile], where: str) -> None:
        self.said += [f"refused: {where}{file.shown}: {file.fault}" for file in files]

    def request(self, delivery: InboxDelivery, run_key: str) -> None:
        mic = delivery.exchange
        config = DeliveryToTake(delivery_id=delivery.delivery_id)
        tags = {DELIVERY_TAG: delivery.delivery_id, "marketlake/delivery": delivery.describe()[:_LONGEST_TAG]}
        self.requests.append(dg.RunRequest(run_key=run_key, run_config=dg.RunConfig(ops={_op_name(mic): config}), tags=tags))
        self.open.add(delivery.delivery_id)


def vendor_inbox_sensor(mic: str, settings: Settings) -> dg.SensorDefinition:
    """A run for what comes to rest together in `<root>/<MIC>/<source>`. What cannot be taken is said once, in the sensor's log."""
    root, memory = settings.vendor_inbox_dir, settings.state_dir / "inbox" / f"{mic}_vendor"

    @dg.sensor(
        name=f"{mic}_vendor_inbox",
        job_name=delivery_job_name(mic),
        # A fraction of the time that files have to wait anyway: a large folder is not looked through more often than it must be.
        minimum_interval_seconds=round(min(max(settings.vendor_inbox_settle_seconds / 4, 5), 30)),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Ingests what vendors deliver into {root / mic}/<source>, once it is unchanged for "
        f"{settings.vendor_inbox_settle_seconds:g} seconds.",
    )
    def inbox_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        remembered = recall(memory, context.cursor)
        visit = _Visit()
        _repeat_dead_runs(context.instance, mic, settings, remembered.get("open", []), visit)
        _find_deliveries(mic, settings, remembered.get("watches", {}), visit)
        for line in visit.said:
            context.log.warning(line)
        content = {"open": sorted(visit.open), "watches": {name: watch.to_json() for name, watch in visit.watches.items()}}
        quiet = dg.SkipReason("; ".join(visit.said) or f"no new delivery in {root / mic}")
        cursor = remember(memory, context.cursor, content)
        return dg.SensorResult(run_requests=visit.requests, skip_reason=None if visit.requests else quiet, cursor=cursor)

    return inbox_sensor


def vendor_inbox_job(mic: str, settings: Settings, ingest: Ingest) -> dg.JobDefinition:
    """The job that ingests one delivery as `marketlake ingest` does: it launches the ingest job in its own process and ends as that
    command would, with a failure that says what was refused. `ingest` runs that job.
    """

    @dg.op(name=_op_name(mic), description="Ingests the files of one delivery of the inbox.")
    def ingest_delivery(config: DeliveryToTake, marketlake: MarketlakeResource, lock: WriterLock) -> dg.Output[None]:
        delivery = load_delivery(marketlake.state_dir, mic, config.delivery_id)
        if delivery is None:
            raise dg.Failure(f"delivery {config.delivery_id} is not on record: `marketlake ingest` its files", allow_retries=False)
        refused, metadata = _ingest(settings, delivery, ingest)
        conclude(delivery, marketlake.state_dir, refused)
        if refused:
            # Not again: the same bytes would be refused for the same reasons.
            raise dg.Failure(f"refused of {delivery.describe()}: {'; '.join(refused)}", metadata=metadata, allow_retries=False)
        return dg.Output(None, metadata=metadata)

    @dg.job(
        name=delivery_job_name(mic),
        description=f"Ingest one delivery of vendor files of {mic} from the inbox.",
        tags={**WRITER, "marketlake/exchange": mic},
        executor_def=dg.in_process_executor,
    )
    def delivery_job() -> None:
        ingest_delivery()

    return delivery_job


def _ingest(settings: Settings, delivery: InboxDelivery, ingest: Ingest) -> tuple[list[str], dict[str, Any]]:
    """Ingest a delivery; what was refused of it, a sentence each, and figures for the run's page."""
    paths, gone = confirm(settings.vendor_inbox_dir, delivery)
    refused = [f"{name}: was moved or deleted before it was read" for name in gone]
    later = len(delivery.files) - len(paths) - len(gone)
    metadata: dict[str, Any] = {"files": len(paths), "files_changed_since": later}
    if not paths:
        return refused, metadata
    reader = source(delivery.source)
    reading = reading_of(delivery.options)
    collected = collect(Lake.from_settings(settings), delivery.exchange, paths, reader, received_at=delivery.found_at, **reading)
    refused += [f"{entry.name}: {entry.reason}" for entry in collected.left_out if entry.refused]
    if not collected.order.deliveries:
        return refused, metadata
    report = ingest(settings, collected.order)
    refused += [_named(file["path"], file["reason"]) for file in report.files if file["status"] == "refused"]
    refused += [f"the gate of {table} {'; '.join(reasons)}" for table, reasons in report.refused.items()]
    refused += report.account.faults(settings.max_quarantined_share)
    metadata["ingest_run"] = report.run_id
    metadata["rows"] = preview(pl.DataFrame([{"table": table, **counts} for table, counts in report.tables.items()]))
    return refused, metadata


def _named(path: str, reason: str) -> str:
    """A reason with its file; sources name it with the row."""
    return reason if reason.startswith(path) else f"{path}: {reason}"


def _repeat_dead_runs(
    instance: dg.DagsterInstance, mic: str, settings: Settings, delivery_ids: Iterable[str], visit: _Visit
) -> None:
    """Launch another run for deliveries whose run ended without a conclusion: its process was killed, or the machine stopped."""
    for delivery_id in delivery_ids:
        delivery = load_delivery(settings.state_dir, mic, delivery_id)
        if delivery is None or conclusion(settings.state_dir, mic, delivery_id) is not None:
            continue
        records = instance.get_run_records(dg.RunsFilter(tags={DELIVERY_TAG: delivery_id}))
        statuses = {record.dagster_run.status for record in records}
        if statuses & UNFINISHED:
            visit.open.add(delivery_id)
        elif dg.DagsterRunStatus.CANCELED in statuses or len(records) >= _ATTEMPTS:
            why = f"given up: {len(records)} runs failed or were canceled; see why, then ingest it yourself"
            conclude(delivery, settings.state_dir, [why])
            visit.said.append(f"{delivery.describe()}: {why}")
        else:
            visit.request(delivery, f"{delivery_id}-{len(records) + 1}")


def _find_deliveries(mic: str, settings: Settings, remembered: Mapping[str, Any], visit: _Visit) -> None:
    """Request a run for each source whose files have come to rest, and say once what lies there and cannot be taken."""
    root, settle = settings.vendor_inbox_dir, settings.vendor_inbox_settle_seconds
    sources = load_sources()
    for name, reader in sources.items():
        now = time.time()
        files, seen = source_files(root, mic, reader), time.time()
        watch = Watch.from_json(remembered.get(name))
        settled = watch.settled_together(files, now, settle)
        visit.refuse((file for file in settled if file.fault), f"{mic}/{name}/")
        sound = {file.name: file.identity for file in settled if not file.fault}
        for options, alike in by_options(root, mic, name, list(sound), {file.name for file in files}):
            identified = tuple((file, sound[file]) for file in alike)
            delivery = InboxDelivery(mic, name, identified, datetime.fromtimestamp(now, UTC), options)
            save_delivery(delivery, settings.state_dir)
            visit.request(delivery, f"{delivery.delivery_id}-1")
        if files:
            visit.watches[name] = watch.after(files, settled, seen)
    now = time.time()
    beside, seen = _unplaced(mic, settings), time.time()
    watch = Watch.from_json(remembered.get(_BESIDE))
    settled = watch.settled(beside, now, settle)
    visit.refuse(settled, "")
    if beside:
        visit.watches[_BESIDE] = watch.after(beside, settled, seen)


def _unplaced(mic: str, settings: Settings) -> list[InboxFile]:
    root = settings.vendor_inbox_dir
    live = SUFFIXES if root == settings.inbox_dir else ()
    return unplaced(root, mic, settings.exchanges, tuple(load_sources()), live)


def _op_name(mic: str) -> str:
    return f"{mic}__ingest_delivery"
