with

moments as (

    select * from {{ ref('moments') }}

),

bars as (

    select * from {{ ref('int_bars_daily_scope') }}

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
        moments.session_number - offsets.sessions_ago as session_number
    from moments
    cross join offsets
    where offsets.sessions_ago > 0 or moments.as_of_ts >= moments.closes_at

),

in_basis_of_moment as (

    select
        wanted.scanners,
        wanted.as_of_ts,
        wanted.exchange,
        bars.instrument_id,
        bars.symbol,
        wanted.sessions_ago,
        case when bars.is_regular then wanted.regular_before - bars.regular_before end as regular_ago,
        bars.session_date as bar_session_date,
        bars.is_regular,
        bars.open * coalesce(spans.price_factor, 1.0) as open,
        bars.high * coalesce(spans.price_factor, 1.0) as high,
        bars.low * coalesce(spans.price_factor, 1.0) as low,
        bars.close * coalesce(spans.price_factor, 1.0) as close,
        case
            when spans.volume_divisor is null then bars.volume
            else cast(round(bars.volume / spans.volume_divisor) as bigint)
        end as volume,
        greatest(bars.known_at, coalesce(spans.known_at, bars.known_at)) as known_at
    from wanted
    inner join bars on wanted.session_number = bars.session_number
    left join spans
        on
            {{ basis_between('bars.instrument_id', 'bars.session_date', 'wanted.session_date') }}

)

select * from in_basis_of_moment
