-- Prices are compared as whole ten-thousandths, volumes as whole shares: no tie can turn on a float.
with

{{ session_against_usual('relative_volume', numbers=['factor', 'stop_atr', 'target_atr'], choices=['confirmation']) }}

decided as (

    select
        *,
        case
            when cast(volume as hugeint) * usual_count * 1000 <= cast(round(factor * 1000) as hugeint) * usual_sum then 0
            when confirmation = 'close' then sign(last_units - previous_units)
            when confirmation = 'open' then sign(last_units - open_units)
            when sign(last_units - previous_units) = sign(last_units - open_units) then sign(last_units - previous_units)
            else 0
        end as side
    from compared

),

measured as (

    select
        *,
        last_price as entry_price,
        last_price + side * target_atr * atr_14 as target_price,
        last_price - side * stop_atr * atr_14 as stop_loss,
        cast(usual_sum as double) / usual_count as usual_volume,
        least(greatest(coalesce(relative_volume / nullif(factor, 0) - 1, 1), 0), 1) as volume_score,
        least(coalesce(abs(last_units - previous_units) / 10000.0::double / nullif(atr_14, 0), 0), 1) as move_score
    from decided

),

final as (

    select
        *,
        0.5 * volume_score + 0.5 * move_score as score
    from measured

),

signals as (

    {{ signal_rows('final', timeframe='1m', details={
        'relative_volume': 'round(relative_volume, 6)',
        'volume': 'volume',
        'usual_volume': 'round(usual_volume, 6)',
        'sessions': 'sessions',
        'minute_of_session': 'minute_of_session',
        'confirmation': 'confirmation',
        'previous_close': 'round(previous_close, 4)',
        'open': 'open',
        'atr_14': 'round(atr_14, 6)',
        'volume_score': 'round(volume_score, 6)',
        'move_score': 'round(move_score, 6)',
    }) }}

)

select * from signals
