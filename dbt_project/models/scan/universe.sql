with

moments as (

    select * from {{ ref('moments') }}

),

instruments as (

    select * from {{ ref('stg_instruments') }}

),

first_seen as (

    select
        instrument_id,
        min(valid_from) as first_session
    from instruments
    group by instrument_id

),

traded_before as (

    select
        moments.as_of_ts,
        moments.exchange,
        moments.session_date,
        instruments.instrument_id,
        instruments.symbol
    from moments
    inner join instruments
        on
            moments.exchange = instruments.exchange
            and moments.session_date between instruments.valid_from and instruments.valid_to
            and instruments.is_active
    inner join first_seen
        on
            instruments.instrument_id = first_seen.instrument_id
            and moments.session_date > first_seen.first_session

)

select * from traded_before
