with

bars as (

    select * from {{ ref('int_bars_daily_scope') }}

),

spans as (

    select * from {{ ref('int_basis_spans') }}

),

-- Frames count sessions of the exchange, not rows, and reach back less than the scope does: what a build reads besides
-- cannot change a row.
neighbours as (

    select
        exchange,
        instrument_id,
        symbol,
        session_date,
        session_number,
        close,
        volume,
        lag(session_date) over by_session as previous_date,
        lag(session_number) over by_session as previous_number,
        lag(close) over by_session as previous_close,
        lag(close, 2) over by_session as close_before_that,
        lag(session_date, 2) over by_session as date_before_that,
        lag(session_number, 2) over by_session as number_before_that,
        (high - low) / close as relative_range,
        median((high - low) / close) over twenty_before as usual_range,
        median(volume) over twenty_before as usual_volume,
        count(*) over ten as bars_in_ten,
        min(session_date) over ten as first_in_ten,
        min(close) over ten = max(close) over ten as is_same_in_ten,
        count(*) over eleven = 11 and min(close) over eleven = max(close) over eleven as was_same_before
    from bars
    window
        by_session as (partition by instrument_id order by session_number),
        twenty_before as (partition by instrument_id order by session_number range between 20 preceding and 1 preceding),
        ten as (partition by instrument_id order by session_number range between 9 preceding and current row),
        eleven as (partition by instrument_id order by session_number range between 10 preceding and current row)

),

final as (

    select
        neighbours.*,
        coalesce(spans.price_factor, 1.0::double) as price_factor,
        coalesce(spans.volume_divisor, 1.0::double) as volume_divisor,
        neighbours.close / neighbours.previous_close as price_ratio,
        neighbours.volume / nullif(neighbours.usual_volume, 0) as volume_ratio,
        coalesce(earlier.price_factor, 1.0::double) as factor_before
    from neighbours
    left join spans
        on
            {{ basis_between('neighbours.instrument_id', 'neighbours.previous_date', 'neighbours.session_date') }}
    left join spans as earlier
        on
            neighbours.instrument_id = earlier.instrument_id
            and neighbours.date_before_that >= earlier.bar_from
            and neighbours.date_before_that < earlier.bar_before
            and neighbours.previous_date >= earlier.moment_from
            and neighbours.previous_date < earlier.moment_before

)

select * from final
