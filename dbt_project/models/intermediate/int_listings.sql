with

instruments as (

    select * from {{ ref('stg_instruments') }}

),

-- What is left of an identity that was given up ends before it begins: it was never listed.
final as (

    select
        exchange,
        instrument_id,
        symbol,
        valid_from as listed_from,
        valid_to as listed_to,
        row_number() over (partition by instrument_id order by valid_from) = 1 as is_first
    from instruments
    where valid_to >= valid_from

)

select * from final
