with

closed as (

    select * from {{ ref('bars_closed') }}

)

select * from closed
where sessions_ago >= 1
