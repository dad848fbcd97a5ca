with

source as (

    select * from {{ source('lake', 'sessions') }}

),

renamed as (

    select
        exchange,
        session_date,
        session_number,
        opens_at,
        closes_at,
        bars_expected,
        bars_expected_auction,
        close_averaged_from,
        kind,
        midnight_at,
        regular_before
    from source

)

select * from renamed
