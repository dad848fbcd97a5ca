with

days as (

    select * from {{ ref('int_minute_days') }}

),

instruments as (

    select * from {{ ref('stg_instruments') }}

),

-- Bars may be older than the first sight of their instrument.
first_ticks as (

    select
        instrument_id,
        arg_min(tick_size, valid_from) as tick_size
    from instruments
    group by instrument_id

),

priced as (

    select
        days.*,
        days.averaged_value / nullif(days.averaged_volume, 0) as minute_close,
        coalesce(instruments.tick_size, first_ticks.tick_size) as tick_size
    from days
    inner join first_ticks on days.instrument_id = first_ticks.instrument_id
    left join instruments
        on
            days.instrument_id = instruments.instrument_id
            and days.session_date between instruments.valid_from and instruments.valid_to

),

compared as (

    select
        *,
        round(1e4::double * (minute_close / close - 1), 6) as close_error_bp,
        round((minute_high - high) / tick_size, 6) as high_error_ticks,
        round((minute_low - low) / tick_size, 6) as low_error_ticks,
        cast(minute_volume as double) / nullif(volume, 0) as volume_ratio
    from priced

),

final as (

    select
        exchange,
        instrument_id,
        session_date,
        symbol,
        cast(minutes as bigint) as minutes,
        close,
        minute_close,
        close_error_bp,
        high_error_ticks,
        low_error_ticks,
        volume_ratio,
        coalesce(abs(close_error_bp) <= 5, true)
        and abs(high_error_ticks) <= 2
        and abs(low_error_ticks) <= 2
        and coalesce(volume_ratio between 0.99 and 1, true) as agrees,
        cast(year(session_date) as bigint) as session_year
    from compared

)

select * from final
order by instrument_id, session_date
