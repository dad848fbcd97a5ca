{{ config(materialized='table') }}

with

sessions as (

    select * from {{ ref('int_window_sessions') }}

),

curves as (

    select * from {{ ref('int_intraday_curves_known') }}

),

declared (scanner_name, kind, minute_of_day) as (

    values {{ declared_moments() }}

),

-- Within a session there is something to see only where its minutes are known.
sessions_with_minutes as (

    select * from sessions
    where session_date in (select distinct curves.session_date from curves)

),

closes as (

    select
        sessions.*,
        sessions.closes_at as as_of_ts,
        declared.scanner_name
    from sessions
    cross join declared
    where declared.kind = 'close'

),

clock_times as (

    select
        sessions.*,
        sessions.midnight_at + to_minutes(declared.minute_of_day) as as_of_ts,
        declared.scanner_name
    from sessions_with_minutes as sessions
    cross join declared
    where declared.kind = 'clock'

),

bar_ends as (

    select
        sessions.*,
        sessions.opens_at
        + to_minutes(unnest(generate_series(1, date_diff('minute', sessions.opens_at, sessions.closes_at)))) as as_of_ts,
        declared.scanner_name
    from sessions_with_minutes as sessions
    cross join declared
    where declared.kind = 'every_bar'

),

combined as (

    select * from closes
    union all by name
    select * from clock_times
    union all by name
    select * from bar_ends

),

final as (

    select
        as_of_ts,
        exchange,
        session_date,
        session_number,
        regular_before,
        kind,
        opens_at,
        closes_at,
        date_diff('minute', opens_at, as_of_ts) as minute_of_session,
        list(distinct scanner_name order by scanner_name) as scanners
    from combined
    where as_of_ts > opens_at and as_of_ts <= closes_at
    group by all

)

select * from final
