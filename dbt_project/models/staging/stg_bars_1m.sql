with

source as (

    select * from {{ source('lake', 'bars_1m') }}

),

renamed as (

    select
        exchange,
        instrument_id,
        session_date,
        ts,
        symbol,
        open,
        high,
        low,
        close,
        volume,
        known_at
    from source

)

select * from renamed
