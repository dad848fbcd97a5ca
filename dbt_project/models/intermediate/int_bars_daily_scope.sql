{{ config(materialized='table') }}

with

bars as (

    select * from {{ ref('stg_bars_daily') }}

),

sessions as (

    select * from {{ ref('stg_sessions') }}

),

reach as (

    select
        min(session_number) - {{ scan_reach() }} as first_number,
        max(session_number) as last_number
    from {{ ref('int_window_sessions') }}

),

in_scope as (

    select sessions.*
    from sessions
    cross join reach
    where sessions.session_number between reach.first_number and reach.last_number

),

final as (

    select
        bars.exchange,
        bars.instrument_id,
        bars.symbol,
        bars.series,
        bars.session_date,
        in_scope.session_number,
        in_scope.opens_at,
        in_scope.closes_at,
        in_scope.kind = 'regular' as is_regular,
        in_scope.regular_before,
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        bars.prev_close,
        bars.known_at
    from bars
    inner join in_scope
        on bars.session_date = in_scope.session_date and bars.exchange = in_scope.exchange

)

select * from final
