with

actions as (

    select * from {{ ref('stg_corporate_actions') }}

),

-- A split's ratio counts new shares per old share; a demerger's or rights line's ratio is the price after over the price before.
factored as (

    select
        exchange,
        instrument_id,
        ex_date,
        action,
        case
            when ratio > 0 and action in ('split', 'bonus', 'capital_reduction') then 1.0::double / ratio
            when ratio > 0 then ratio
        end as price_factor,
        case
            when ratio > 0 and action in ('split', 'bonus', 'capital_reduction') then 1.0::double / ratio
            when ratio > 0 then 1.0::double
        end as volume_divisor,
        known_at
    from actions
    where action in ('split', 'bonus', 'capital_reduction', 'demerger', 'rights')

)

select * from factored
