with

closed as (

    select * from {{ ref('indicators_closed') }}

)

select * from closed
where sessions_ago >= 1
