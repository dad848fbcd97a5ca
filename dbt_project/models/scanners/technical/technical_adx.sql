-- Rule: docs in technical_adx.yml. ADX and the directional lines are ratios: an ex-date between two sessions leaves them
-- comparable.
with

parameters as (

    {{ scanner_parameters('technical_adx', numbers=['threshold', 'rise_sessions']) }}

),

strengths as (

    select
        indicators.as_of_ts,
        indicators.instrument_id,
        indicators.sessions_ago,
        parameters.rise_sessions,
        indicators.adx_14,
        {{ exact_sign('indicators.adx_14 - parameters.threshold') }} as above_threshold,
        {{ exact_sign('indicators.plus_di_14 - indicators.minus_di_14') }} as direction,
        indicators.plus_di_14,
        indicators.minus_di_14,
        indicators.atr_14,
        indicators.known_at
    from {{ scan('indicators_closed', where='sessions_ago <= 21 and adx_14 is not null') }} as indicators
    cross join parameters

),

-- The session that has just closed (now) and the one before it (then), each beside its own ADX of rise_sessions before.
compared as (

    select
        as_of_ts,
        instrument_id,
        max(adx_14) filter (where sessions_ago = 0) as adx_14,
        max(adx_14) filter (where sessions_ago = rise_sessions) as adx_before,
        max(above_threshold) filter (where sessions_ago = 0) as above_threshold,
        max(direction) filter (where sessions_ago = 0) as direction,
        max(adx_14) filter (where sessions_ago = 1) as adx_then,
        max(adx_14) filter (where sessions_ago = rise_sessions + 1) as adx_before_then,
        max(above_threshold) filter (where sessions_ago = 1) as above_threshold_then,
        max(direction) filter (where sessions_ago = 1) as direction_then,
        max(plus_di_14) filter (where sessions_ago = 0) as plus_di_14,
        max(minus_di_14) filter (where sessions_ago = 0) as minus_di_14,
        max(atr_14) filter (where sessions_ago = 0) as atr_14,
        max(known_at) as known_at
    from strengths
    group by as_of_ts, instrument_id

),

complete as (

    select * from compared
    where adx_14 is not null and adx_before is not null and adx_then is not null and adx_before_then is not null

),

judged as (

    {{ judged_at_close(
        'complete', 'technical_adx', unsettled=84, numbers=['threshold', 'rise_sessions', 'stop_atr', 'target_atr']
    ) }}

),

states as (

    select
        *,
        case when above_threshold = 1 and {{ exact_sign('adx_14 - adx_before') }} = 1 then direction else 0 end as trend,
        case
            when above_threshold_then = 1 and {{ exact_sign('adx_then - adx_before_then') }} = 1 then direction_then else 0
        end as trend_then
    from judged

),

decided as (

    select
        *,
        case when trend <> trend_then then trend else 0 end as side
    from states

),

scored as (

    select
        *,
        entry_price + side * target_atr * atr_14 as target_price,
        entry_price - side * stop_atr * atr_14 as stop_loss,
        least((adx_14 - adx_before) / 10, 1) as rise_score,
        least(abs(plus_di_14 - minus_di_14) / 30, 1) as spread_score
    from decided

),

final as (

    select
        *,
        0.5 * rise_score + 0.5 * spread_score as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'adx_14': 'round(adx_14, 6)',
        'adx_before': 'round(adx_before, 6)',
        'plus_di_14': 'round(plus_di_14, 6)',
        'minus_di_14': 'round(minus_di_14, 6)',
        'atr_14': 'round(atr_14, 6)',
        'rise_score': 'round(rise_score, 6)',
        'spread_score': 'round(spread_score, 6)',
    }) }}

)

select * from signals
