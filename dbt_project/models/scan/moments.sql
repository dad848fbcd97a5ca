with

sessions as (

    select * from {{ ref('int_window_sessions') }}

),

closes as (

    select
        closes_at as as_of_ts,
        exchange,
        session_date,
        session_number,
        opens_at,
        closes_at
    from sessions

)

select * from closes
