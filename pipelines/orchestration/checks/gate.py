"""Blocking gate checks: a table's GX suite on the staged batch, before anything is published.

Lives here: one asset check per ingested table of an exchange.
Does not live here: the suites (`expectations/`) and running them (`ingest/suites.py`); tests of derived tables (dbt).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.ingest.batches import current_folder, read_refusals
from pipelines.ingest.judging import Finding, describe_finding
from pipelines.ingest.publish import run_gate
from pipelines.orchestration.keys import INGESTED, staged_key
from pipelines.orchestration.metadata import preview
from pipelines.orchestration.resources import MarketlakeResource, WriterLock


def gate_checks(mic: str) -> list[dg.AssetChecksDefinition]:
    """A blocking check `gate_<table>` on each staged table."""
    return [_gate(mic, table) for table in INGESTED]


def _gate(mic: str, table: str) -> dg.AssetChecksDefinition:
    spec = dg.AssetCheckSpec(
        name=f"gate_{table}",
        asset=staged_key(mic, table),
        blocking=True,
        description=f"Great Expectations suite expectations/{table}.json on the batch's profile. "
        "A critical failure refuses the session, whose rows go to quarantine; a warning publishes and shows.",
    )

    @dg.multi_asset_check(name=spec.get_python_identifier(), specs=[spec])
    def gate(
        context: dg.AssetCheckExecutionContext, marketlake: MarketlakeResource, lock: WriterLock
    ) -> Iterator[dg.AssetCheckResult | dg.Output[None]]:
        folder = current_folder(marketlake.state_dir, mic)
        refused = read_refusals(folder).get(table)
        validation = run_gate(marketlake.lake, mic, table, folder, marketlake.state_dir)
        stops = bool(validation.refused or validation.withheld)
        finding = Finding(**refused) if refused and not stops else describe_finding(validation)
        if stops or refused:
            # On the run's page this line stands among the events; the check's own event shows its reason behind a click.
            rest = "nothing of the table is published by this run" if stops else "the other sessions are published"
            context.log.error("the gate of %s %s (its rows are in quarantine; %s)", table, finding.description, rest)
        if validation.judgements or refused:
            yield _result(spec, finding, stops=stops)
        else:
            # No row, so no expectation ran: the step is done and there is no result. Publishing waits for the step's output.
            yield dg.Output(None, output_name=spec.get_python_identifier())

    return gate


def _result(spec: dg.AssetCheckSpec, finding: Finding, *, stops: bool) -> dg.AssetCheckResult:
    """The result of the check: of severity ERROR it stops what is downstream, as nothing sound is left; WARN lets the rest pass."""
    columns = {"expectation": pl.String, "severity": pl.String, "unexpected": pl.Int64, "sample": pl.String}
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=not (finding.failed or finding.sessions_withheld),
        severity=dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN,
        description=finding.description,
        metadata={
            "sessions": finding.sessions,
            "sessions_refused": finding.sessions_refused,
            "sessions_withheld": finding.sessions_withheld,
            "expectations": finding.expectations,
            "failed": preview(pl.DataFrame(finding.failed, schema=columns), rows=20),
            "suite_hash": finding.suite_hash[:16],
        },
    )
