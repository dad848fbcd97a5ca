"""Blocking gate checks: a table's GX suite on the staged batch, before anything is published.

Lives here: one asset check per ingested table of an exchange.
Does not live here: the suites (`expectations/`) and running them (`ingest/suites.py`); tests of derived tables (dbt).
"""

import dagster as dg
import polars as pl

from pipelines.ingest.batches import current_folder
from pipelines.ingest.gate import ValidationResult
from pipelines.ingest.publish import run_gate
from pipelines.orchestration.keys import INGESTED, staged_key
from pipelines.orchestration.metadata import preview
from pipelines.orchestration.resources import MarketlakeResource, WriterLock


def gate_checks(mic: str) -> list[dg.AssetChecksDefinition]:
    """A blocking check `gate_<table>` on each staged table."""
    return [_gate(mic, table) for table in INGESTED]


def _gate(mic: str, table: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=staged_key(mic, table),
        name=f"gate_{table}",
        blocking=True,
        description=f"Great Expectations suite expectations/{table}.json on the batch's profile. "
        "A critical failure refuses the session; a warning publishes and shows.",
    )
    def gate(context: dg.AssetCheckExecutionContext, marketlake: MarketlakeResource, lock: WriterLock) -> dg.AssetCheckResult:
        folder = current_folder(marketlake.state_dir, mic)
        validation = run_gate(marketlake.lake, mic, table, folder, marketlake.state_dir)
        if validation.refused or validation.withheld:
            # On the run's page this line stands among the events; the check's own event shows its reason behind a click.
            again = "its rows are in quarantine; the same run again publishes the other sessions"
            context.log.error("the gate of %s %s (%s)", table, validation.describe(), again)
        return _result(validation)

    return gate


def _result(validation: ValidationResult) -> dg.AssetCheckResult:
    failed = [j for j in validation.judgements if not j.success]
    why = pl.DataFrame(
        [{"expectation": j.name, "severity": j.severity, "unexpected": j.unexpected, "sample": j.sample} for j in failed],
        schema={"expectation": pl.String, "severity": pl.String, "unexpected": pl.Int64, "sample": pl.String},
    )
    return dg.AssetCheckResult(
        passed=not failed and not validation.withheld,
        severity=dg.AssetCheckSeverity.ERROR if validation.refused or validation.withheld else dg.AssetCheckSeverity.WARN,
        description=validation.describe(),
        metadata={
            "sessions": len(validation.sessions),
            "sessions_refused": len(validation.refused),
            "sessions_withheld": len({w.session for w in validation.withheld}),
            "expectations": len(validation.judgements),
            "failed": preview(why, rows=20),
            "suite_hash": validation.suite_hash[:16],
        },
    )
