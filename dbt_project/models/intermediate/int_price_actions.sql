with

actions as (

    select * from {{ ref('stg_corporate_actions') }}

),

factored as (

    select
        exchange,
        instrument_id,
        ex_date,
        action,
        {{ price_action_factors() }},
        known_at
    from actions
    where action in ('split', 'bonus', 'capital_reduction', 'demerger', 'rights')

)

select * from factored
