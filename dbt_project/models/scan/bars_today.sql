with

moments as (

    select * from {{ ref('moments') }}

),

bars_daily as (

    select * from {{ ref('int_bars_daily_scope') }}

),

bars_1m as (

    select * from {{ ref('stg_bars_1m') }}

),

finished_days as (

    select
        moments.scanners,
        moments.as_of_ts,
        moments.exchange,
        moments.session_date,
        bars_daily.instrument_id,
        bars_daily.symbol,
        '1d' as timeframe,
        moments.opens_at as ts,
        moments.closes_at as ends_at,
        bars_daily.open,
        bars_daily.high,
        bars_daily.low,
        bars_daily.close,
        bars_daily.volume,
        bars_daily.known_at
    from moments
    inner join bars_daily on moments.session_number = bars_daily.session_number
    where moments.closes_at <= moments.as_of_ts

),

-- At the close the daily bar is the truth; history, which is all closes, then never touches a minute.
finished_minutes as (

    select
        moments.scanners,
        moments.as_of_ts,
        moments.exchange,
        moments.session_date,
        bars_1m.instrument_id,
        bars_1m.symbol,
        '1m' as timeframe,
        bars_1m.ts,
        bars_1m.ts + interval 1 minute as ends_at,
        bars_1m.open,
        bars_1m.high,
        bars_1m.low,
        bars_1m.close,
        bars_1m.volume,
        bars_1m.known_at
    from moments
    inner join bars_1m
        on moments.session_date = bars_1m.session_date and moments.exchange = bars_1m.exchange
    where
        moments.as_of_ts < moments.closes_at
        and bars_1m.ts + interval 1 minute <= moments.as_of_ts

),

combined as (

    select * from finished_days
    union all
    select * from finished_minutes

)

select * from combined
