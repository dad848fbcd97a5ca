with

sessions as (

    select * from {{ ref('stg_sessions') }}

),

windows as (

    select * from {{ source('lake', 'window_daily') }}
    union all
    select * from {{ source('lake', 'window_1m') }}

),

-- An action may open a window before anything was listed; there is nothing to scan until then.
touched as (

    select sessions.*
    from sessions
    where
        sessions.session_date >= (select min(valid_from) from {{ ref('stg_instruments') }})
        and exists (
            select 1
            from windows
            where sessions.session_date between windows.from_session and windows.to_session
        )

)

select * from touched
