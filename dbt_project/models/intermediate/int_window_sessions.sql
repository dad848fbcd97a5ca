with

sessions as (

    select * from {{ ref('stg_sessions') }}

),

windows as (

    select * from {{ source('lake', 'window_daily') }}
    union all
    select * from {{ source('lake', 'window_1m') }}
    union all
    select * from {{ source('lake', 'window_listings') }}

),

-- Before the exchange's first bar and after its last there is nothing to scan, though an action, or a bar that was withdrawn, may
-- open a window there. A scan that builds nothing names no bounds.
bounds as (

    select
        coalesce(min(first_session), date '0001-01-01') as first_session,
        coalesce(max(last_session), date '9999-12-31') as last_session
    from {{ source('lake', 'window_bounds') }}

),

touched as (

    select sessions.*
    from sessions
    cross join bounds
    where
        sessions.session_date between bounds.first_session and bounds.last_session
        and exists (
            select 1
            from windows
            where sessions.session_date between windows.from_session and windows.to_session
        )

)

select * from touched
