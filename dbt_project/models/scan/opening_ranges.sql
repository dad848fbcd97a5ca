with

moments as (

    select * from {{ ref('moments') }}

),

curves as (

    select * from {{ ref('int_intraday_curves_known') }}

),

lengths (minutes) as (

    values (15), (30)

),

-- Elements of lists, never slices of them: 375 moments of a session would copy half a session each.
so_far as (

    select
        moments.scanners,
        moments.as_of_ts,
        moments.exchange,
        moments.session_date,
        moments.kind = 'regular' as is_regular,
        moments.minute_of_session,
        date_diff('minute', moments.as_of_ts, moments.closes_at) as minutes_to_close,
        lengths.minutes,
        curves.instrument_id,
        curves.symbol,
        curves.last_price[moments.minute_of_session] as last_price,
        curves.volume_so_far[moments.minute_of_session] as volume,
        curves.high_so_far[lengths.minutes] as range_high,
        curves.low_so_far[lengths.minutes] as range_low,
        cast(round(curves.last_price[moments.minute_of_session] * 10000) as bigint) as last_units,
        cast(round(curves.last_price[moments.minute_of_session - 1] * 10000) as bigint) as before_units,
        cast(round(curves.high_so_far[lengths.minutes] * 10000) as bigint) as high_units,
        cast(round(curves.low_so_far[lengths.minutes] * 10000) as bigint) as low_units,
        -- The close before tells nearly every minute apart; only what passes it is worth a look at all closes.
        case
            when moments.minute_of_session <= lengths.minutes then 0
            when
                last_units > high_units and before_units <= high_units
                then cast(round(list_max(curves.last_price[:moments.minute_of_session - 1]) * 10000) <= high_units as integer)
            when
                last_units < low_units and before_units >= low_units
                then -cast(round(list_min(curves.last_price[:moments.minute_of_session - 1]) * 10000) >= low_units as integer)
            else 0
        end as first_beyond,
        curves.known_so_far[moments.minute_of_session] as known_at
    from moments
    inner join curves on moments.session_date = curves.session_date and moments.exchange = curves.exchange
    cross join lengths

),

final as (

    select
        * exclude (before_units, last_units, high_units, low_units, range_high, range_low),
        case when minute_of_session >= minutes then range_high end as range_high,
        case when minute_of_session >= minutes then range_low end as range_low
    from so_far
    where last_price is not null

)

select * from final
