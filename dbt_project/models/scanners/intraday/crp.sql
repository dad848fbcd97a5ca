-- Prices are compared as whole ten-thousandths, volumes as whole shares: no tie can turn on a float.
with

{{ session_against_usual('crp', numbers=['edge', 'full_momentum', 'target_ranges']) }}

-- A mean of whole units over at most 20 sessions lies 0.05 or more from the next whole one, or on it: thousandths tell them apart.
in_units as (

    select
        *,
        last_units - low_units as above_low,
        high_units - last_units as below_high,
        high_units - low_units as range_units,
        cast(round(mean_range * 10000 * 1000) as bigint) as usual_range_milli,
        cast(round(edge * 1000) as bigint) as edge_milli
    from compared

),

decided as (

    select
        *,
        case
            when range_units = 0 then 0
            when range_units * 1000 > usual_range_milli then 0
            when volume * usual_count <= usual_sum then 0
            when above_low * 1000 >= edge_milli * range_units and last_units > previous_units then 1
            when below_high * 1000 >= edge_milli * range_units and last_units < previous_units then -1
            else 0
        end as side
    from in_units

),

measured as (

    select
        *,
        last_price as entry_price,
        last_price + side * target_ranges * (high - low) as target_price,
        case side when 1 then low else high end as stop_loss,
        cast(above_low as double) / nullif(range_units, 0) as position,
        cast(last_units as double) / previous_units - 1 as momentum
    from decided

),

parts as (

    select
        *,
        case side when 1 then position else 1 - position end as position_score,
        least(greatest(1 - (high - low) / nullif(mean_range, 0), 0), 1) as range_score,
        least(greatest(relative_volume - 1, 0), 1) as volume_score,
        least(coalesce(abs(momentum) / nullif(full_momentum, 0), 1), 1) as momentum_score
    from measured

),

final as (

    select
        *,
        0.4 * position_score + 0.2 * range_score + 0.2 * volume_score + 0.2 * momentum_score as score
    from parts

),

signals as (

    {{ signal_rows('final', timeframe='1m', details={
        'position': 'round(position, 6)',
        'high': 'high',
        'low': 'low',
        'mean_range': 'round(mean_range, 6)',
        'relative_volume': 'round(relative_volume, 6)',
        'momentum': 'round(momentum, 6)',
        'previous_close': 'round(previous_close, 4)',
        'sessions': 'sessions',
        'position_score': 'round(position_score, 6)',
        'range_score': 'round(range_score, 6)',
        'volume_score': 'round(volume_score, 6)',
        'momentum_score': 'round(momentum_score, 6)',
    }) }}

)

select * from signals
