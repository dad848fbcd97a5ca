with

moments as (

    select * from {{ ref('moments') }}

),

sessions as (

    select * from {{ ref('stg_sessions') }}

),

indicators as (

    select * from {{ ref('int_indicators_daily_known') }}

),

spans as (

    select * from {{ ref('int_basis_spans') }}

),

offsets as (

    {{ session_offsets() }}

),

wanted as (

    select
        moments.as_of_ts,
        moments.exchange,
        moments.session_date,
        moments.scanners,
        moments.regular_before,
        offsets.sessions_ago,
        sessions.session_date as row_session_date,
        sessions.kind as row_kind,
        sessions.regular_before as row_regular_before
    from moments
    cross join offsets
    inner join sessions
        on
            moments.session_number - offsets.sessions_ago = sessions.session_number
            and moments.exchange = sessions.exchange
    where offsets.sessions_ago > 0 or moments.as_of_ts >= moments.closes_at

),

in_own_basis as (

    select
        wanted.scanners,
        wanted.as_of_ts,
        wanted.exchange,
        wanted.sessions_ago,
        case when wanted.row_kind = 'regular' then wanted.regular_before - wanted.row_regular_before end as regular_ago,
        coalesce(spans.price_factor, 1.0) as price_factor,
        coalesce(spans.volume_divisor, 1.0) as volume_divisor,
        indicators.* exclude (exchange, symbol, session_year, session_date, known_at),
        indicators.session_date as row_session_date,
        greatest(indicators.known_at, coalesce(spans.known_at, indicators.known_at)) as known_at
    from wanted
    inner join indicators on wanted.row_session_date = indicators.session_date
    left join spans
        on
            {{ basis_between('indicators.instrument_id', 'indicators.session_date', 'wanted.session_date') }}

)

select * from in_own_basis
