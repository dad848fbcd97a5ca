-- Rule: docs in technical_bollinger.yml. Widths are ratios and need no conversion; they are compared as whole ten-millionths.
with

parameters as (

    {{ scanner_parameters('technical_bollinger', numbers=['squeeze_sessions', 'min_sessions', 'squeeze_within']) }}

),

-- 120 regular sessions, the most that squeeze_sessions allows, lie within 130.
widths as (

    select
        as_of_ts,
        instrument_id,
        regular_ago,
        cast(round((bb_upper_20 - bb_lower_20) / bb_middle_20 * 10000000) as bigint) as width_units,
        known_at
    from {{ scan('indicators_closed', where='sessions_ago <= 130 and regular_ago between 1 and 120 and bb_middle_20 > 0') }}

),

squeezes as (

    select
        widths.as_of_ts,
        widths.instrument_id,
        min(widths.width_units) as lowest_units,
        min(widths.width_units) filter (where widths.regular_ago <= parameters.squeeze_within) as lowest_lately_units,
        cast(sum(widths.width_units) as double) / count(*) as mean_units,
        max(widths.known_at) as known_at
    from widths
    cross join parameters
    where widths.regular_ago <= parameters.squeeze_sessions
    group by widths.as_of_ts, widths.instrument_id, parameters.min_sessions
    having count(*) >= parameters.min_sessions

),

bars as (

    select
        as_of_ts,
        instrument_id,
        sessions_ago,
        close,
        known_at
    from {{ scan('bars_closed', where='sessions_ago <= 20') }}

),

bands as (

    select
        as_of_ts,
        instrument_id,
        sessions_ago,
        bb_upper_20 * price_factor as upper_now,
        bb_middle_20 * price_factor as middle_now,
        bb_lower_20 * price_factor as lower_now,
        atr_14,
        known_at
    from {{ scan('indicators_closed', where='sessions_ago <= 20 and bb_middle_20 > 0') }}

),

standings as (

    select
        bands.* exclude (known_at),
        case
            when {{ exact_sign('bars.close - bands.upper_now') }} = 1 then 1
            when {{ exact_sign('bars.close - bands.lower_now') }} = -1 then -1
            else 0
        end as beyond,
        greatest(bars.known_at, bands.known_at) as known_at
    from bands
    inner join bars
        on
            bands.as_of_ts = bars.as_of_ts
            and bands.instrument_id = bars.instrument_id
            and bands.sessions_ago = bars.sessions_ago

),

closes as (

    select
        as_of_ts,
        instrument_id,
        max(beyond) filter (where sessions_ago = 0) as beyond,
        arg_min(beyond, sessions_ago) filter (where sessions_ago > 0) as beyond_before,
        max(upper_now) filter (where sessions_ago = 0) as bb_upper_20,
        max(middle_now) filter (where sessions_ago = 0) as bb_middle_20,
        max(lower_now) filter (where sessions_ago = 0) as bb_lower_20,
        max(atr_14) filter (where sessions_ago = 0) as atr_14,
        max(known_at) as known_at
    from standings
    group by as_of_ts, instrument_id
    having count(*) filter (where sessions_ago = 0) = 1 and count(*) > 1

),

found as (

    select
        closes.* exclude (known_at),
        squeezes.* exclude (as_of_ts, instrument_id, known_at),
        greatest(closes.known_at, squeezes.known_at) as known_at
    from closes
    inner join squeezes on closes.as_of_ts = squeezes.as_of_ts and closes.instrument_id = squeezes.instrument_id

),

judged as (

    {{ judged_at_close(
        'found', 'technical_bollinger', unsettled=150,
        numbers=['squeeze_sessions', 'min_sessions', 'squeeze_within', 'target_multiple'],
    ) }}

),

decided as (

    select
        *,
        case when beyond <> beyond_before and lowest_lately_units = lowest_units then beyond else 0 end as side
    from judged

),

measured as (

    select
        *,
        entry_price + target_multiple * (entry_price - bb_middle_20) as target_price,
        bb_middle_20 as stop_loss,
        case side when 1 then bb_upper_20 else bb_lower_20 end as band,
        lowest_units / 10000000.0::double as lowest_width,
        mean_units / 10000000 as mean_width
    from decided

),

scored as (

    select
        *,
        1 - lowest_width / nullif(mean_width, 0) as squeeze_score,
        least(side * (entry_price - band) / nullif(atr_14, 0), 1) as break_score
    from measured

),

final as (

    select
        *,
        0.5 * coalesce(squeeze_score, 0.0::double) + 0.5 * coalesce(break_score, 0.0::double) as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'band': 'round(band, 6)',
        'bb_middle_20': 'round(bb_middle_20, 6)',
        'lowest_width': 'round(lowest_width, 7)',
        'mean_width': 'round(mean_width, 7)',
        'atr_14': 'round(atr_14, 6)',
        'squeeze_score': 'round(squeeze_score, 6)',
        'break_score': 'round(break_score, 6)',
    }) }}

)

select * from signals
