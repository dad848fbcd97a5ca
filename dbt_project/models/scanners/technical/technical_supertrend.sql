-- Rule: docs in technical_supertrend.yml. The direction is whole, +1 or -1; the line of sessions before is brought into today's
-- basis.
with

directions as (

    select
        as_of_ts,
        instrument_id,
        sessions_ago,
        cast(supertrend_direction_10 as bigint) as direction,
        supertrend_10,
        supertrend_10 * price_factor as line_now,
        atr_14,
        known_at
    from {{ scan('indicators_closed', where='sessions_ago <= 20 and supertrend_direction_10 is not null') }}

),

flipped as (

    {{ crossings(
        'directions',
        standings=['direction'],
        latest=['supertrend_10', 'atr_14'],
        aggregates={
            'line_before': 'arg_min(line_now, sessions_ago) filter (where sessions_ago > 0)',
            'sessions_up': 'count(*) filter (where sessions_ago > 0 and direction = 1)',
            'sessions_down': 'count(*) filter (where sessions_ago > 0 and direction = -1)',
        },
    ) }}

),

judged as (

    {{ judged_at_close('flipped', 'technical_supertrend', unsettled=60, numbers=['target_multiple']) }}

),

decided as (

    select
        *,
        case when direction * direction_before = -1 then direction else 0 end as side
    from judged

),

measured as (

    select
        *,
        entry_price + target_multiple * (entry_price - supertrend_10) as target_price,
        supertrend_10 as stop_loss,
        side * (entry_price - line_before) / nullif(atr_14, 0) as break_atr,
        case side when 1 then sessions_down else sessions_up end as sessions_against
    from decided

),

scored as (

    select
        *,
        least(greatest(coalesce(break_atr, 0.0::double), 0), 1) as break_score,
        sessions_against / 20.0::double as age_score
    from measured

),

final as (

    select
        *,
        0.5 * break_score + 0.5 * age_score as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'supertrend_10': 'round(supertrend_10, 6)',
        'line_before': 'round(line_before, 6)',
        'atr_14': 'round(atr_14, 6)',
        'break_atr': 'round(break_atr, 6)',
        'sessions_against': 'sessions_against',
        'break_score': 'round(break_score, 6)',
        'age_score': 'round(age_score, 6)',
    }) }}

)

select * from signals
