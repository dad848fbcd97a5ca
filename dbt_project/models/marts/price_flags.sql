with

window_daily as (

    select * from {{ source('lake', 'window_daily') }}

),

steps as (

    select int_price_steps.*
    from {{ ref('int_price_steps') }} as int_price_steps
    inner join window_daily
        on
            int_price_steps.instrument_id = window_daily.instrument_id
            and int_price_steps.session_date between window_daily.from_session and window_daily.to_session

),

-- What is left of a step once recorded actions are taken out; after a longer halt it says nothing. A recorded split lacks its jump
-- when prices stand nearer to where they were than to its ratio; small bonuses are less than a day's move.
unexplained as (

    select
        *,
        abs(ln(volume_divisor)) > ln(1.2) and abs(ln(price_ratio)) < abs(ln(price_ratio / volume_divisor)) as lacks_jump
    from steps
    where session_number - previous_number <= 10

),

suspected as (

    select suspects.*
    from {{ ref('int_suspected_actions') }} as suspects
    inner join window_daily
        on
            suspects.instrument_id = window_daily.instrument_id
            and suspects.session_date between window_daily.from_session and window_daily.to_session

),

without_jump as (

    select
        *,
        1 / volume_divisor as split_ratio
    from unexplained
    where lacks_jump

),

frozen as (

    select * from steps
    where bars_in_ten = 10 and is_same_in_ten and not was_same_before

),

-- The close before stood far off those on both of its sides, which agree with each other. Flagged on the session that shows it.
spiked as (

    select * from steps
    where
        session_number - number_before_that <= 10
        and abs(ln(price_ratio / price_factor)) > ln(2.5)
        and abs(ln(previous_close / (close_before_that * factor_before))) > ln(2.5)
        and abs(ln(price_ratio / price_factor) + ln(previous_close / (close_before_that * factor_before))) < ln(1.5)

),

-- Ten times what is usual of the twenty sessions before, and a fifth of the price at least: seldom a true day.
wide as (

    select * from steps
    where usual_range > 0 and relative_range >= 10 * usual_range and relative_range >= 0.2

),

flagged as (

    select * from suspected
    union all by name
    select
        *,
        'split_without_jump' as flag,
        previous_date as since
    from without_jump
    union all by name
    select
        * exclude (price_ratio),
        'frozen_price' as flag,
        first_in_ten as since,
        1.0::double as price_ratio
    from frozen
    union all by name
    select
        *,
        'price_spike' as flag,
        previous_date as since
    from spiked
    union all by name
    select
        *,
        'wide_range' as flag,
        previous_date as since
    from wide

),

final as (

    select
        exchange,
        instrument_id,
        session_date,
        flag,
        symbol,
        since,
        price_ratio,
        split_ratio,
        volume_ratio,
        cast(year(session_date) as bigint) as session_year
    from flagged

)

select * from final
order by instrument_id, session_date, flag
