with

source as (

    select * from {{ source('lake', 'bars_daily') }}

),

renamed as (

    select
        exchange,
        instrument_id,
        session_date,
        symbol,
        series,
        open,
        high,
        low,
        close,
        volume,
        turnover,
        prev_close,
        known_at
    from source

)

select * from renamed
