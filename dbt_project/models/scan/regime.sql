with

moments as (

    select * from {{ ref('moments') }}

),

regimes as (

    select * from {{ ref('int_market_regime') }}

),

-- Of the last session that had closed: within a session that is the one before.
final as (

    select
        moments.scanners,
        moments.as_of_ts,
        moments.exchange,
        regimes.instrument_id,
        regimes.session_date as row_session_date,
        regimes.regime,
        regimes.direction,
        regimes.known_at
    from moments
    inner join regimes
        on
            moments.session_number - case when moments.as_of_ts >= moments.closes_at then 0 else 1 end = regimes.session_number
            and moments.exchange = regimes.exchange

)

select * from final
