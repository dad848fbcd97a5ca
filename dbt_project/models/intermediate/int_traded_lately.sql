{{ config(materialized='table') }}

with

moments as (

    select * from {{ ref('moments') }}

),

bars as (

    select * from {{ ref('int_bars_daily_scope') }}

),

offsets as (

    select unnest(generate_series(1, 20)) as sessions_ago

),

sessions_before as (

    select distinct
        moments.session_date,
        moments.session_number - offsets.sessions_ago as session_number
    from moments
    cross join offsets

),

-- What has not traded for a month is not expected to trade today.
final as (

    select
        sessions_before.session_date,
        bars.instrument_id,
        max_by(bars.symbol, bars.session_number) as symbol,
        max_by(coalesce(bars.series, ''), bars.session_number) as series
    from sessions_before
    inner join bars on sessions_before.session_number = bars.session_number
    group by sessions_before.session_date, bars.instrument_id

)

select * from final
