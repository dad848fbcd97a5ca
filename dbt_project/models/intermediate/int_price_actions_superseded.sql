with

actions as (

    select * from {{ source('lake', 'corporate_actions_superseded') }}

),

factored as (

    select
        exchange,
        instrument_id,
        ex_date,
        action,
        {{ price_action_factors() }},
        known_at,
        superseded_at
    from actions
    where action in ('split', 'bonus', 'capital_reduction', 'demerger', 'rights')

)

select * from factored
