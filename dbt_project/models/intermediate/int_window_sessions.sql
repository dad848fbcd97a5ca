with

sessions as (

    select * from {{ ref('stg_sessions') }}

),

window_daily as (

    select * from {{ source('lake', 'window_daily') }}

),

-- An action may open a window before anything was listed; there is nothing to scan until then.
touched as (

    select sessions.*
    from sessions
    where
        sessions.session_date >= (select min(valid_from) from {{ ref('stg_instruments') }})
        and exists (
            select 1
            from window_daily
            where sessions.session_date between window_daily.from_session and window_daily.to_session
        )

)

select * from touched
