"""Indicators of the window's one-minute bars, streamed from the kernels; the arithmetic lives in `pipelines.indicators`."""


def model(dbt, session):
    """Rows to build, with the carried state on the last bar of each session (pa.RecordBatchReader)."""
    dbt.config(materialized="table")
    dbt.ref("stg_bars_1m")
    dbt.ref("int_price_actions")
    dbt.ref("int_price_actions_superseded")
    dbt.ref("stg_sessions")
    dbt.source("lake", "bars_1m_superseded")
    dbt.source("lake", "window_1m")
    dbt.source("lake", "indicator_state_1m")

    from pipelines.dbt.home_indicators import home_indicators
    from pipelines.indicators.window import build_window  # dbt only parses this file; it must not load numba then

    return build_window(session.cursor(), "1m", home_indicators())
