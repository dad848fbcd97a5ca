-- Rule: docs in technical_golden_cross.yml. Each session's averages are compared in its own price basis, which leaves the sign
-- alone.
with

averages as (

    select
        as_of_ts,
        instrument_id,
        sessions_ago,
        {{ exact_sign('sma_50 - sma_200') }} as above_slow,
        sma_50,
        sma_200,
        sma_50 * price_factor as sma_50_now,
        atr_14,
        known_at
    from {{ scan('indicators_closed', where='sessions_ago <= 20 and sma_200 is not null') }}

),

crossed as (

    {{ crossings(
        'averages',
        standings=['above_slow'],
        latest=['sma_50', 'sma_200', 'atr_14'],
        aggregates={'sma_50_before': 'arg_max(sma_50_now, sessions_ago)'},
    ) }}

),

judged as (

    {{ judged_at_close('crossed', 'technical_golden_cross', unsettled=200, numbers=['stop_atr', 'target_atr']) }}

),

decided as (

    select
        *,
        case when above_slow * above_slow_before = -1 then above_slow else 0 end as side
    from judged

),

measured as (

    select
        *,
        entry_price + side * target_atr * atr_14 as target_price,
        entry_price - side * stop_atr * atr_14 as stop_loss,
        side * (sma_50 - sma_50_before) / nullif(atr_14, 0) as slope_atr,
        side * (entry_price - sma_50) / nullif(atr_14, 0) as distance_atr
    from decided

),

scored as (

    select
        *,
        least(greatest(coalesce(slope_atr, 0.0::double) / 2, 0), 1) as slope_score,
        least(greatest(coalesce(distance_atr, 0.0::double) / 2, 0), 1) as distance_score
    from measured

),

final as (

    select
        *,
        0.5 * slope_score + 0.5 * distance_score as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'sma_50': 'round(sma_50, 6)',
        'sma_200': 'round(sma_200, 6)',
        'atr_14': 'round(atr_14, 6)',
        'slope_atr': 'round(slope_atr, 6)',
        'distance_atr': 'round(distance_atr, 6)',
        'slope_score': 'round(slope_score, 6)',
        'distance_score': 'round(distance_score, 6)',
    }) }}

)

select * from signals
