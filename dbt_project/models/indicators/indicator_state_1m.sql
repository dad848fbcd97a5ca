{{ config(materialized='view') }}

with

computed as (

    select * from {{ ref('int_indicators_1m') }}

),

states as (

    select
        exchange,
        instrument_id,
        session_date,
        state
    from computed
    where state is not null

)

select * from states
