"""Indicators of the window's daily bars, streamed from the kernels; the arithmetic lives in `pipelines.indicators`."""


def model(dbt, session):
    """Rows to build, with the carried state on the last bar of each session (pa.RecordBatchReader)."""
    dbt.config(materialized="table")
    dbt.ref("stg_bars_daily")
    dbt.ref("int_price_actions")
    dbt.ref("int_price_actions_superseded")
    dbt.ref("stg_sessions")
    dbt.source("lake", "bars_daily_superseded")
    dbt.source("lake", "window_daily")
    dbt.source("lake", "indicator_state_daily")

    from pipelines.dbt.home_indicators import home_indicators
    from pipelines.indicators.window import build_window  # dbt only parses this file; it must not load numba then

    return build_window(session.cursor(), "daily", home_indicators())
