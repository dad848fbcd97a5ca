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

actions as (

    select * from {{ ref('int_price_actions') }}

),

-- Ratios that splits and bonuses have. Below 3 for 2 a jump cannot be told from a bad day.
usual_ratios as (

    select unnest([1.5, 5.0 / 3, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100]::double []) as ratio

),

-- What is left of a step once recorded actions are taken out; after a longer halt it says nothing. A recorded split lacks its jump
-- when prices stand nearer to where they were than to its ratio; small bonuses are less than a day's move.
unexplained as (

    select
        *,
        ln(price_ratio / price_factor) as move,
        volume_ratio * volume_divisor as relative_volume,
        abs(ln(volume_divisor)) > ln(1.2) and abs(ln(price_ratio)) < abs(ln(price_ratio / volume_divisor)) as lacks_jump
    from steps
    where session_number - previous_number <= 10

),

-- A split leaves the traded value about as it was: volume moves the other way, by about as much. A true fall by half brings many
-- times the usual shares.
like_splits as (

    select
        unexplained.*,
        case when unexplained.move < 0 then usual_ratios.ratio else 1 / usual_ratios.ratio end as split_ratio
    from unexplained
    inner join usual_ratios
        on abs(abs(unexplained.move) - ln(usual_ratios.ratio)) <= case when usual_ratios.ratio < 2 then 0.04 else 0.06 end
    where
        not unexplained.lacks_jump
        and (
            (unexplained.move < 0 and unexplained.relative_volume > 1)
            or (unexplained.move > 0 and unexplained.relative_volume < 1)
        )
        and abs(ln(unexplained.relative_volume) - -sign(unexplained.move) * ln(usual_ratios.ratio)) <= ln(3)
        and not exists (
            select 1
            from actions
            where
                actions.instrument_id = unexplained.instrument_id
                and actions.price_factor is null
                and actions.ex_date > unexplained.previous_date
                and actions.ex_date <= unexplained.session_date
        )

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

flagged as (

    select
        *,
        'unrecorded_split' as flag,
        previous_date as since
    from like_splits
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
