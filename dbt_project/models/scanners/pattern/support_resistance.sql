-- Rule: docs in support_resistance.yml. Distances in ATRs become whole ten-thousandths before anything is compared.
with

universe as (

    select * from {{ scan('universe') }}

),

bars as (

    select * from {{ scan('bars_closed', where='sessions_ago <= 10 and (sessions_ago = 0 or regular_ago = 1)') }}

),

indicators as (

    select
        as_of_ts,
        instrument_id,
        atr_14 * price_factor as atr_14,
        bars_seen,
        known_at
    from {{ scan('indicators_closed', where='sessions_ago = 0') }}

),

parameters as (

    {{ scanner_parameters('support_resistance', numbers=[
        'strength', 'lookback', 'touches', 'tolerance', 'rejection', 'reward',
    ]) }}

),

-- Half days and special sessions between make a look-back of regular sessions longer by a few.
breaks as (

    select distinct
        broken.as_of_ts,
        broken.instrument_id
    from {{ scan('unadjusted_actions') }} as broken
    cross join parameters
    where broken.sessions_ago < parameters.lookback + parameters.strength + 12

),

today as (

    select
        as_of_ts,
        instrument_id,
        any_value(exchange) as exchange,
        any_value(symbol) filter (where sessions_ago = 0) as symbol,
        any_value(bar_session_date) filter (where sessions_ago = 0) as session_date,
        any_value(cast(round(close * 10000) as bigint)) filter (where sessions_ago = 0) as close_units,
        any_value(cast(round(high * 10000) as bigint)) filter (where sessions_ago = 0) as high_units,
        any_value(cast(round(low * 10000) as bigint)) filter (where sessions_ago = 0) as low_units,
        any_value(cast(round(close * 10000) as bigint)) filter (where regular_ago = 1) as previous_units,
        bool_or(sessions_ago = 0 and is_regular) as is_regular,
        max(known_at) as known_at
    from bars
    group by as_of_ts, instrument_id

),

judged as (

    select
        today.* exclude (known_at),
        parameters.*,
        indicators.atr_14,
        cast(round(parameters.tolerance * indicators.atr_14 * 10000) as bigint) as tolerance_units,
        cast(round(parameters.rejection * indicators.atr_14 * 10000) as bigint) as rejection_units,
        greatest(today.known_at, indicators.known_at) as known_at
    from today
    inner join universe on today.as_of_ts = universe.as_of_ts and today.instrument_id = universe.instrument_id
    inner join indicators on today.as_of_ts = indicators.as_of_ts and today.instrument_id = indicators.instrument_id
    anti join breaks on today.as_of_ts = breaks.as_of_ts and today.instrument_id = breaks.instrument_id
    cross join parameters
    where
        today.close_units is not null
        and today.previous_units is not null
        and indicators.atr_14 is not null
        and indicators.bars_seen > parameters.lookback

),

points as (

    select
        *,
        cast(round(price * 10000) as bigint) as price_units
    from {{ scan('swing_points') }}

),

-- Only the points at the session's own extremes matter.
near as (

    select
        judged.as_of_ts,
        judged.instrument_id,
        points.price_units,
        abs(points.price_units - judged.low_units) <= judged.tolerance_units as at_low,
        abs(points.price_units - judged.high_units) <= judged.tolerance_units as at_high,
        points.known_at
    from judged
    inner join points
        on
            judged.as_of_ts = points.as_of_ts
            and judged.instrument_id = points.instrument_id
            and cast(judged.strength as bigint) = points.strength
    where points.regular_ago <= judged.lookback and (at_low or at_high)

),

touched as (

    select
        as_of_ts,
        instrument_id,
        count(*) filter (where at_low) as lows,
        cast(sum(price_units) filter (where at_low) as bigint) as low_sum,
        count(*) filter (where at_high) as highs,
        cast(sum(price_units) filter (where at_high) as bigint) as high_sum,
        max(known_at) as known_at
    from near
    group by as_of_ts, instrument_id

),

-- Multiplied by the number of touches, both sides of a comparison with the mean level are whole.
evaluated as (

    select
        judged.* exclude (known_at),
        touched.* exclude (as_of_ts, instrument_id, known_at),
        judged.is_regular
        and touched.lows >= judged.touches
        and touched.lows * (judged.close_units - judged.rejection_units) >= touched.low_sum
        and touched.lows * judged.previous_units > touched.low_sum as is_support,
        judged.is_regular
        and touched.highs >= judged.touches
        and touched.highs * (judged.close_units + judged.rejection_units) <= touched.high_sum
        and touched.highs * judged.previous_units < touched.high_sum as is_resistance,
        greatest(judged.known_at, coalesce(touched.known_at, judged.known_at)) as known_at
    from judged
    left join touched on judged.as_of_ts = touched.as_of_ts and judged.instrument_id = touched.instrument_id

),

decided as (

    select
        *,
        case
            when is_support and not is_resistance then 1
            when is_resistance and not is_support then -1
            else 0
        end as side,
        close_units / 10000.0::double as entry_price
    from evaluated

),

measured as (

    select
        *,
        if(side = 1, lows, highs) as touches_found,
        if(side = 1, low_sum / lows, high_sum / highs) / 10000 as level,
        if(side = 1, low_units, high_units) / 10000.0::double as extreme
    from decided

),

scored as (

    select
        *,
        if(side = 1, least(level, extreme), greatest(level, extreme)) - side * tolerance * atr_14 as stop_loss,
        least(touches_found / nullif(2 * touches, 0), 1) as touches_score,
        least(side * (entry_price - level) / nullif(2 * atr_14, 0), 1) as rejection_score
    from measured

),

final as (

    select
        *,
        entry_price + reward * (entry_price - stop_loss) as target_price,
        0.5 * touches_score + 0.5 * coalesce(rejection_score, 0) as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'level': 'round(level, 4)',
        'role': "if(side = 1, 'support', 'resistance')",
        'touches': 'touches_found',
        'atr_14': 'round(atr_14, 6)',
        'touches_score': 'round(touches_score, 6)',
        'rejection_score': 'round(rejection_score, 6)',
    }) }}

)

select * from signals
