with

stored as (

    select * from {{ source('lake', 'intraday_profiles') }}

),

built as (

    select * from {{ ref('intraday_profiles') }}

),

-- A build makes whole sessions anew.
carried as (

    select * from stored
    where session_date not in (select built.session_date from built)

),

combined as (

    select * from carried
    union all by name
    select * from built

)

select * from combined
