with

moments as (

    select * from {{ ref('moments') }}

),

points as (

    select * from {{ ref('int_swing_points') }}

),

spans as (

    select * from {{ ref('int_basis_spans') }}

),

offsets as (

    {{ session_offsets(swing_reach()) }}

),

wanted as (

    select
        moments.scanners,
        moments.as_of_ts,
        moments.session_date,
        moments.session_number as moment_number,
        moments.regular_before,
        offsets.sessions_ago as confirmed_ago,
        moments.session_number - offsets.sessions_ago as confirmed_number
    from moments
    cross join offsets
    where offsets.sessions_ago > 0 or moments.as_of_ts >= moments.closes_at

),

in_basis_of_moment as (

    select
        wanted.scanners,
        wanted.as_of_ts,
        points.exchange,
        points.instrument_id,
        points.strength,
        points.kind,
        wanted.confirmed_ago,
        wanted.moment_number - points.session_number as sessions_ago,
        wanted.regular_before - points.regular_number as regular_ago,
        points.price * coalesce(spans.price_factor, 1.0) as price,
        greatest(points.known_at, coalesce(spans.known_at, points.known_at)) as known_at
    from wanted
    inner join points on wanted.confirmed_number = points.confirmed_number
    left join spans
        on
            {{ basis_between('points.instrument_id', 'points.session_date', 'wanted.session_date') }}

)

select * from in_basis_of_moment
