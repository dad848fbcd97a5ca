-- Rule: docs in technical_macd.yml. Each session's two lines are compared in its own price basis, which leaves the sign what it is.
with

lines as (

    select
        as_of_ts,
        instrument_id,
        sessions_ago,
        {{ exact_sign('macd - macd_signal') }} as above_signal,
        macd,
        macd_signal,
        atr_14,
        known_at
    from {{ scan('indicators_closed', where='sessions_ago <= 20 and macd_signal is not null') }}

),

crossed as (

    {{ crossings('lines', standings=['above_signal'], latest=['macd', 'macd_signal', 'atr_14']) }}

),

judged as (

    {{ judged_at_close('crossed', 'technical_macd', unsettled=80, numbers=['stop_atr', 'target_atr']) }}

),

decided as (

    select
        *,
        case when above_signal * above_signal_before = -1 then above_signal else 0 end as side
    from judged

),

measured as (

    select
        *,
        entry_price + side * target_atr * atr_14 as target_price,
        entry_price - side * stop_atr * atr_14 as stop_loss,
        side * (macd - macd_signal) / nullif(atr_14, 0) as gap_atr
    from decided

),

scored as (

    select
        *,
        least(coalesce(gap_atr, 0.0::double) / 0.1, 1) as gap_score,
        case when {{ exact_sign('macd') }} = side then 1.0::double else 0.0::double end as trend_score
    from measured

),

final as (

    select
        *,
        0.5 * gap_score + 0.5 * trend_score as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'macd': 'round(macd, 6)',
        'macd_signal': 'round(macd_signal, 6)',
        'atr_14': 'round(atr_14, 6)',
        'gap_atr': 'round(gap_atr, 6)',
        'gap_score': 'round(gap_score, 6)',
        'trend_score': 'trend_score',
    }) }}

)

select * from signals
