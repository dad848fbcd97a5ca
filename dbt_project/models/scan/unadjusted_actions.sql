with

moments as (

    select * from {{ ref('moments') }}

),

sessions as (

    select * from {{ ref('stg_sessions') }}

),

suspects as (

    select * from {{ ref('int_suspected_actions') }}

),

-- The safe default is to withhold; the setting writes a row here.
effects as (

    select * from {{ source('lake', 'finding_effects') }}

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
    union all
    select
        moments.scanners,
        moments.as_of_ts,
        suspects.instrument_id,
        suspects.flag as action,
        suspects.session_date as ex_date,
        moments.session_number - suspects.session_number as sessions_ago,
        moments.regular_before - suspects.regular_before as regular_ago
    from moments
    inner join suspects
        on suspects.session_number between moments.session_number - {{ scan_reach() }} and moments.session_number
    where
        -- A bar shows its step once its session has closed.
        (suspects.session_number < moments.session_number or moments.as_of_ts >= suspects.closes_at)
        and not exists (
            select 1
            from effects
            where effects.finding = 'suspected_action' and effects.effect = 'mark'
        )

)

select * from final
