"""Intraday profiles of the sessions that the window reaches; the loop lives in `pipelines.indicators.volume_profiles`."""


def model(dbt, session):
    """One row per instrument and session, lists indexed by minutes since the open (pa.RecordBatchReader)."""
    dbt.config(materialized="table")
    dbt.ref("int_intraday_curves_known")
    dbt.ref("int_basis_spans")
    dbt.ref("stg_sessions")
    dbt.source("lake", "window_1m")

    from pipelines.indicators.volume_profiles import build_profiles  # dbt only parses this file; it must not load numba then

    return build_profiles(session.cursor())
