with

sessions as (

    select * from {{ ref('stg_sessions') }}

),

window_daily as (

    select * from {{ source('lake', 'window_daily') }}

),

touched as (

    select sessions.*
    from sessions
    where
        exists (
            select 1
            from window_daily
            where sessions.session_date between window_daily.from_session and window_daily.to_session
        )

)

select * from touched
