{{ config(materialized='view') }}

with

computed as (

    select * from {{ ref('int_indicators_daily') }}

),

states as (

    select
        exchange,
        instrument_id,
        session_date,
        state,
        cast(year(session_date) as bigint) as session_year
    from computed
    where state is not null

)

select * from states
