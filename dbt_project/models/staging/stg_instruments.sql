with

source as (

    select * from {{ source('lake', 'instruments') }}

),

renamed as (

    select
        exchange,
        instrument_id,
        symbol,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to,
        tick_size
    from source

)

select * from renamed
