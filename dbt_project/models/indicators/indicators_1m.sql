{{ config(materialized='view') }}

with

computed as (

    select * from {{ ref('int_indicators_1m') }}

),

published as (

    select * exclude (state)
    from computed

)

select * from published
