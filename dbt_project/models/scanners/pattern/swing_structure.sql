-- Rule: docs in swing_structure.yml. Prices are compared as whole ten-thousandths.
with

universe as (

    select * from {{ scan('universe') }}

),

today as (

    select * from {{ scan('bars_closed', where='sessions_ago = 0') }}

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

    {{ scanner_parameters('swing_structure', numbers=['strength', 'lookback', 'reward']) }}

),

points as (

    select
        swing_points.*,
        cast(round(swing_points.price * 10000) as bigint) as price_units
    from {{ scan('swing_points', where='confirmed_ago <= 66') }} as swing_points
    inner join parameters
        on swing_points.strength = cast(parameters.strength as bigint) and swing_points.regular_ago <= parameters.lookback

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

latest as (

    select
        as_of_ts,
        instrument_id,
        arg_min(price_units, sessions_ago, 2) filter (where kind = 'high') as highs,
        arg_min(price_units, sessions_ago, 2) filter (where kind = 'low') as lows,
        min(confirmed_ago) = 0 as is_new,
        max(known_at) as known_at
    from points
    group by as_of_ts, instrument_id

),

evaluated as (

    select
        today.as_of_ts,
        today.exchange,
        today.instrument_id,
        today.symbol,
        today.bar_session_date as session_date,
        today.close as entry_price,
        cast(round(today.close * 10000) as bigint) as close_units,
        indicators.atr_14,
        latest.highs[1] as last_high,
        latest.highs[2] as previous_high,
        latest.lows[1] as last_low,
        latest.lows[2] as previous_low,
        coalesce(latest.is_new, false) as is_new,
        parameters.*,
        greatest(today.known_at, indicators.known_at, coalesce(latest.known_at, today.known_at)) as known_at
    from today
    inner join universe on today.as_of_ts = universe.as_of_ts and today.instrument_id = universe.instrument_id
    inner join indicators on today.as_of_ts = indicators.as_of_ts and today.instrument_id = indicators.instrument_id
    left join latest on today.as_of_ts = latest.as_of_ts and today.instrument_id = latest.instrument_id
    anti join breaks on today.as_of_ts = breaks.as_of_ts and today.instrument_id = breaks.instrument_id
    cross join parameters
    where indicators.atr_14 is not null and indicators.bars_seen > parameters.lookback

),

decided as (

    select
        *,
        case
            when not is_new then 0
            when last_high > previous_high and last_low > previous_low and close_units > last_low then 1
            when last_high < previous_high and last_low < previous_low and close_units < last_high then -1
            else 0
        end as side
    from evaluated

),

measured as (

    select
        *,
        case side when 1 then last_low else last_high end / 10000.0::double as stop_loss,
        side * (last_high - previous_high) / 10000.0::double / nullif(atr_14, 0) as highs_atr,
        side * (last_low - previous_low) / 10000.0::double / nullif(atr_14, 0) as lows_atr
    from decided

),

scored as (

    select
        *,
        entry_price + reward * (entry_price - stop_loss) as target_price,
        least(coalesce(highs_atr, 0) / 2, 1) as highs_score,
        least(coalesce(lows_atr, 0) / 2, 1) as lows_score
    from measured

),

final as (

    select
        *,
        0.5 * highs_score + 0.5 * lows_score as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'last_high': 'last_high / 10000.0::double',
        'previous_high': 'previous_high / 10000.0::double',
        'last_low': 'last_low / 10000.0::double',
        'previous_low': 'previous_low / 10000.0::double',
        'atr_14': 'round(atr_14, 6)',
        'highs_score': 'round(highs_score, 6)',
        'lows_score': 'round(lows_score, 6)',
    }) }}

)

select * from signals
