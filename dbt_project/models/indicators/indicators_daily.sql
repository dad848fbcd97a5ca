{{ config(materialized='view') }}

with

computed as (

    select * from {{ ref('int_indicators_daily') }}

),

published as (

    select
        * exclude (state),
        cast(year(session_date) as bigint) as session_year
    from computed

)

select * from published
