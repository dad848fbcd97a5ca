with

source as (

    select * from {{ source('lake', 'instrument_aliases') }}

),

renamed as (

    select
        exchange,
        instrument_id,
        kind,
        value,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from source

)

select * from renamed
