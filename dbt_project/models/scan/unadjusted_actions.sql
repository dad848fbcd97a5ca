with

moments as (

    select * from {{ ref('moments') }}

),

sessions as (

    select * from {{ ref('stg_sessions') }}

),

actions as (

    select * from {{ ref('int_price_actions') }}
    where price_factor is null

),

-- An ex-date on a holiday takes effect at the next session.
effective as (

    select
        actions.instrument_id,
        actions.action,
        actions.ex_date,
        sessions.session_number,
        sessions.regular_before
    from actions
    asof inner join sessions
        on actions.exchange = sessions.exchange and actions.ex_date <= sessions.session_date

),

final as (

    select
        moments.scanners,
        moments.as_of_ts,
        effective.instrument_id,
        effective.action,
        effective.ex_date,
        moments.session_number - effective.session_number as sessions_ago,
        moments.regular_before - effective.regular_before as regular_ago
    from moments
    inner join effective
        on effective.session_number between moments.session_number - {{ scan_reach() }} and moments.session_number

)

select * from final
