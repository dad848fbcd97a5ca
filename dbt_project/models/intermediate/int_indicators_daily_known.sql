with

stored as (

    select * from {{ source('lake', 'indicators_daily') }}

),

window_daily as (

    select * from {{ source('lake', 'window_daily') }}

),

carried as (

    select stored.*
    from stored
    left join window_daily on stored.instrument_id = window_daily.instrument_id
    where
        window_daily.instrument_id is null
        or stored.session_date < window_daily.from_session
        or stored.session_date > window_daily.to_session

),

built as (

    select * from {{ ref('indicators_daily') }}

),

combined as (

    select * from carried
    union all by name
    select * from built

)

select * from combined
