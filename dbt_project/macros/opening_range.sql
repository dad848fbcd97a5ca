{#-
  A scanner of the first close beyond the range of the session's first `minutes` minutes, once a side.
-#}
{% macro opening_range(scanner, minutes) %}
with

universe as (

    select
        as_of_ts,
        instrument_id
    from {{ scan('universe') }}
    where is_intraday_allowed

),

today as (

    select
        *,
        cast(round(last_price * 10000) as bigint) as last_units,
        cast(round(range_high * 10000) as bigint) as high_units,
        cast(round(range_low * 10000) as bigint) as low_units
    from {{ scan('opening_ranges') }}
    where is_regular and minutes = {{ minutes }} and (range_high is not null or minute_of_session < {{ minutes }})

),

usual as (

    select * from {{ scan('volume_profile') }}

),

parameters as (

    {{ scanner_parameters(scanner, numbers=['target_ranges', 'quiet_minutes']) }}

),

measured as (

    select
        today.* exclude (known_at),
        parameters.*,
        case
            when today.minutes_to_close >= parameters.quiet_minutes and today.high_units > today.low_units then today.first_beyond
            else 0
        end as side,
        today.volume / nullif(usual.mean_volume, 0) as relative_volume,
        greatest(today.known_at, coalesce(usual.known_at, today.known_at)) as known_at
    from today
    semi join universe on today.as_of_ts = universe.as_of_ts and today.instrument_id = universe.instrument_id
    left join usual on today.as_of_ts = usual.as_of_ts and today.instrument_id = usual.instrument_id
    cross join parameters

),

scored as (

    select
        *,
        last_price as entry_price,
        last_price + side * target_ranges * (range_high - range_low) as target_price,
        case side when 1 then range_low else range_high end as stop_loss,
        case side when 1 then range_high else range_low end as level,
        case side when 1 then last_units - high_units else low_units - last_units end
        / cast(nullif(high_units - low_units, 0) as double) as distance_score,
        1 - (minute_of_session - minutes - 1) / nullif(minute_of_session + minutes_to_close - quiet_minutes - minutes, 0) as early_score,
        least(greatest(coalesce(relative_volume, 0.0::double) - 1, 0), 1) as volume_score
    from measured

),

final as (

    select
        *,
        0.4 * least(distance_score, 1) + 0.3 * early_score + 0.3 * volume_score as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1m', details={
        'level': 'level',
        'range_high': 'range_high',
        'range_low': 'range_low',
        'minute_of_session': 'minute_of_session',
        'relative_volume': 'round(relative_volume, 6)',
        'distance_score': 'round(least(distance_score, 1), 6)',
        'early_score': 'round(early_score, 6)',
        'volume_score': 'round(volume_score, 6)',
    }) }}

)

select * from signals
{% endmacro %}
