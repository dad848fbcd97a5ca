with

stored as (

    select * from {{ source('lake', 'indicators_daily') }}

),

window_daily as (

    select * from {{ source('lake', 'window_daily') }}

),

built as (

    select * from {{ ref('indicators_daily') }}

),

-- A restatement whose effect has died away stops before its window ends, but never before its last change.
built_to as (

    select
        instrument_id,
        max(session_date) as last_built
    from built
    group by instrument_id

),

carried as (

    select stored.*
    from stored
    left join window_daily on stored.instrument_id = window_daily.instrument_id
    left join built_to on stored.instrument_id = built_to.instrument_id
    where
        window_daily.instrument_id is null
        or stored.session_date < window_daily.from_session
        or stored.session_date > coalesce(greatest(built_to.last_built, window_daily.changed_to), window_daily.to_session)

),

combined as (

    select * from carried
    union all by name
    select * from built

)

select * from combined
