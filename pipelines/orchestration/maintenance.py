"""The home's weekly maintenance: its job and its schedule.

Lives here: when it runs, and showing in Dagster what it freed and kept.
Does not live here: what is deleted (`maintenance/cleanup.py`, `history.py`), the command (`cli/maintain.py`).
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.maintenance.cleanup import clean_home
from pipelines.orchestration.history import prune_history
from pipelines.orchestration.resources import MarketlakeResource, WriterLock

#: Sunday before dawn, when no exchange of this world trades.
_WHEN, _ZONE = "0 3 * * 0", "UTC"


def maintenance_job() -> dg.JobDefinition:
    """The job `maintenance`: deletes what the home no longer needs. It waits for a writer that is at work, as every run does."""

    @dg.op(description="Delete staged batches, build databases, catalogues, logs and orphans that are old and that nothing holds.")
    def clean(context: dg.OpExecutionContext, marketlake: MarketlakeResource, lock: WriterLock) -> None:
        done = clean_home(
            marketlake.lake,
            marketlake.exchanges,
            marketlake.state_dir,
            marketlake.catalogue_link,
            datetime.now(UTC),
            keep_catalogues=timedelta(days=marketlake.keep_catalogues_days),
            dry_run=False,
        ).with_more(*prune_history(context.instance, datetime.now(UTC), dry_run=False))
        for verb, shares in (("freed", done.freed), ("kept", done.kept)):
            for share in shares:
                context.log.info("%s: %s, %d, %.1f MB: %s", verb, share.what, share.count, share.size_bytes / 1e6, share.why)
        for compacted in done.compacted:
            context.log.info("compacted: %s, %d files to %d", compacted.table, compacted.files, compacted.partitions)
        freed, kept = (sum(share.size_bytes for share in shares) for shares in (done.freed, done.kept))
        context.add_output_metadata({"freed_bytes": freed, "kept_bytes": kept})

    @dg.job(
        name="maintenance",
        description="Weekly: free what the home no longer needs. `marketlake maintain` does the same.",
        tags={"marketlake/writer": "true"},
        executor_def=dg.in_process_executor,
    )
    def maintenance() -> None:
        clean()

    return maintenance


def maintenance_schedule() -> dg.ScheduleDefinition:
    """Every week, in the night to Sunday."""
    return dg.ScheduleDefinition(
        name="maintenance_schedule",
        job_name="maintenance",
        cron_schedule=_WHEN,
        execution_timezone=_ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Weekly maintenance of the home.",
    )
