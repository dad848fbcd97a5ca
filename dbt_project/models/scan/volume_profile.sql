with

moments as (

    select * from {{ ref('moments') }}

),

profiles as (

    select * from {{ ref('int_intraday_profiles_known') }}

),

final as (

    select
        moments.scanners,
        moments.as_of_ts,
        profiles.instrument_id,
        moments.minute_of_session,
        profiles.sessions,
        profiles.mean_volume[moments.minute_of_session] as mean_volume,
        profiles.median_volume[moments.minute_of_session] as median_volume,
        profiles.mean_range[moments.minute_of_session] as mean_range,
        profiles.known_at
    from moments
    inner join profiles on moments.session_date = profiles.session_date and moments.exchange = profiles.exchange

)

select * from final
