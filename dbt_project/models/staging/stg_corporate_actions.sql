with

source as (

    select * from {{ source('lake', 'corporate_actions') }}

),

renamed as (

    select
        exchange,
        instrument_id,
        ex_date,
        action,
        ratio,
        known_at
    from source

)

select * from renamed
