with

aliases as (

    select * from {{ ref('stg_instrument_aliases') }}
    where kind = 'symbol' and valid_to >= valid_from

),

-- Frames given to a scan may come without aliases: the symbol of the instrument is then its only ticker.
unnamed as (

    select
        exchange,
        instrument_id,
        max_by(symbol, listed_from) as symbol
    from {{ ref('int_listings') }}
    where instrument_id not in (select aliases.instrument_id from aliases)
    group by exchange, instrument_id

),

final as (

    select
        exchange,
        instrument_id,
        value as symbol,
        valid_from as used_from,
        valid_to as used_to,
        row_number() over (partition by instrument_id order by valid_from, value) = 1 as is_first
    from aliases
    union all
    select
        exchange,
        instrument_id,
        symbol,
        date '0001-01-01' as used_from,
        date '9999-12-31' as used_to,
        true as is_first
    from unnamed

)

select * from final
