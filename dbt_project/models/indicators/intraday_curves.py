"""Intraday curves of the sessions whose minutes changed; the loop lives in `pipelines.indicators.cumulative`."""


def model(dbt, session):
    """One row per instrument and session, lists indexed by minutes since the open (pa.RecordBatchReader)."""
    dbt.config(materialized="table")
    dbt.ref("stg_bars_1m")
    dbt.ref("stg_sessions")
    dbt.source("lake", "window_1m")

    from pipelines.indicators.cumulative import build_curves  # dbt only parses this file; it must not load numba then

    return build_curves(session.cursor())
