with

moments as (

    select * from {{ ref('moments') }}

),

bars_daily as (

    select * from {{ ref('int_bars_daily_scope') }}

),

intraday as (

    select * from {{ ref('intraday_so_far') }}

),

-- At the close the daily bar is the truth; history, which is mostly closes, then never touches a minute.
finished as (

    select
        moments.scanners,
        moments.as_of_ts,
        moments.exchange,
        moments.session_date,
        moments.kind = 'regular' as is_regular,
        bars_daily.instrument_id,
        bars_daily.symbol,
        '1d' as timeframe,
        bars_daily.open,
        bars_daily.high,
        bars_daily.low,
        bars_daily.close as last_price,
        bars_daily.volume,
        bars_daily.known_at
    from moments
    inner join bars_daily on moments.session_number = bars_daily.session_number
    where moments.as_of_ts >= moments.closes_at

),

forming as (

    select
        scanners,
        as_of_ts,
        exchange,
        session_date,
        is_regular,
        instrument_id,
        symbol,
        '1m' as timeframe,
        open,
        high,
        low,
        last_price,
        volume,
        known_at
    from intraday
    where minutes_to_close > 0

),

combined as (

    select * from finished
    union all
    select * from forming

)

select * from combined
