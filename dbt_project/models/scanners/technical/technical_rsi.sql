-- Rule: docs in technical_rsi.yml. RSI is a ratio: an ex-date between two sessions leaves it comparable.
with

parameters as (

    {{ scanner_parameters('technical_rsi', numbers=['oversold', 'overbought']) }}

),

-- Without any move in its memory an RSI says nothing: it stands at 0 then, with a CMO of 0 (falls alone give one of -100).
strengths as (

    select
        indicators.as_of_ts,
        indicators.instrument_id,
        indicators.sessions_ago,
        case when indicators.rsi_14 <> 0 or indicators.cmo_14 <> 0 then indicators.rsi_14 end as rsi_14,
        parameters.oversold,
        parameters.overbought,
        indicators.atr_14,
        indicators.known_at
    from {{ scan('indicators_closed', where='sessions_ago <= 20 and rsi_14 is not null') }} as indicators
    cross join parameters

),

standings as (

    select
        *,
        coalesce({{ exact_sign('rsi_14 - oversold') }}, 0) as above_oversold,
        coalesce({{ exact_sign('rsi_14 - overbought') }}, 0) as above_overbought
    from strengths

),

crossed as (

    {{ crossings(
        'standings',
        standings=['above_oversold', 'above_overbought'],
        latest=['rsi_14', 'atr_14'],
        aggregates={
            'lowest': 'min(rsi_14) filter (where sessions_ago > 0)',
            'highest': 'max(rsi_14) filter (where sessions_ago > 0)',
        },
    ) }}

),

judged as (

    {{ judged_at_close('crossed', 'technical_rsi', unsettled=56, numbers=['oversold', 'overbought', 'stop_atr', 'target_atr']) }}

),

decided as (

    select
        *,
        case
            when above_oversold = 1 and above_oversold_before = -1 then 1
            when above_overbought = -1 and above_overbought_before = 1 then -1
            else 0
        end as side
    from judged

),

measured as (

    select
        *,
        case side when 1 then oversold else overbought end as level,
        case side when 1 then lowest else highest end as extreme
    from decided

),

scored as (

    select
        *,
        entry_price + side * target_atr * atr_14 as target_price,
        entry_price - side * stop_atr * atr_14 as stop_loss,
        least(side * (level - extreme) / 15, 1) as depth_score,
        least(side * (rsi_14 - level) / 10, 1) as push_score
    from measured

),

final as (

    select
        *,
        0.5 * depth_score + 0.5 * push_score as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'rsi_14': 'round(rsi_14, 6)',
        'level': 'level',
        'extreme': 'round(extreme, 6)',
        'atr_14': 'round(atr_14, 6)',
        'depth_score': 'round(depth_score, 6)',
        'push_score': 'round(push_score, 6)',
    }) }}

)

select * from signals
