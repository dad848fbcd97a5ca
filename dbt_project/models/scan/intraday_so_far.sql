with

moments as (

    select * from {{ ref('moments') }}

),

curves as (

    select * from {{ ref('int_intraday_curves_known') }}

),

so_far as (

    select
        moments.scanners,
        moments.as_of_ts,
        moments.exchange,
        moments.session_date,
        moments.kind = 'regular' as is_regular,
        moments.minute_of_session,
        date_diff('minute', moments.as_of_ts, moments.closes_at) as minutes_to_close,
        curves.instrument_id,
        curves.symbol,
        curves.open,
        curves.high_so_far[moments.minute_of_session] as high,
        curves.low_so_far[moments.minute_of_session] as low,
        curves.last_price[moments.minute_of_session] as last_price,
        curves.volume_so_far[moments.minute_of_session] as volume,
        curves.high_so_far[:moments.minute_of_session] as highs,
        curves.low_so_far[:moments.minute_of_session] as lows,
        curves.last_price[:moments.minute_of_session] as closes,
        curves.known_so_far[moments.minute_of_session] as known_at
    from moments
    inner join curves on moments.session_date = curves.session_date and moments.exchange = curves.exchange

)

select * from so_far
where last_price is not null
