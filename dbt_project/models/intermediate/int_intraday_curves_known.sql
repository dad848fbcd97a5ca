with

stored as (

    select * from {{ source('lake', 'intraday_curves') }}

),

window_1m as (

    select * from {{ source('lake', 'window_1m') }}

),

built as (

    select * from {{ ref('intraday_curves') }}

),

carried as (

    select stored.*
    from stored
    left join window_1m on stored.instrument_id = window_1m.instrument_id
    where
        window_1m.instrument_id is null
        or stored.session_date < window_1m.from_session
        or stored.session_date > window_1m.changed_to

),

combined as (

    select * from carried
    union all by name
    select * from built

)

select * from combined
