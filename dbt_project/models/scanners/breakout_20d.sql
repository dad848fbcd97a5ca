-- Rule: docs in breakout_20d.yml. Prices are compared as whole ten-thousandths, volumes as whole shares: no tie can turn on a float.
with

universe as (

    select * from {{ scan('universe') }}

),

bars_today as (

    select * from {{ scan('bars_today') }}

),

bars_prior as (

    select * from {{ scan('bars_prior') }}
    where sessions_ago <= 20

),

atr as (

    select
        as_of_ts,
        instrument_id,
        atr_14 * price_factor as atr_14,
        known_at
    from {{ scan('indicators_prior') }}
    where sessions_ago = 1

),

breaks as (

    select distinct
        as_of_ts,
        instrument_id
    from {{ scan('unadjusted_actions') }}
    where sessions_ago < 20

),

parameters as (

    select
        max(value) filter (where name = 'volume_factor') as volume_factor,
        max(value) filter (where name = 'stop_atr') as stop_atr,
        max(value) filter (where name = 'target_atr') as target_atr
    from {{ scan('params') }}
    where scanner_name = 'breakout_20d'

),

-- The finished daily bar after the close, the minutes so far before it: never both.
today as (

    select
        as_of_ts,
        exchange,
        session_date,
        instrument_id,
        arg_max(symbol, ts) as symbol,
        arg_max(close, ts) as last_price,
        sum(volume) as volume,
        max(known_at) as known_at
    from bars_today
    group by as_of_ts, exchange, session_date, instrument_id

),

prior as (

    select
        as_of_ts,
        instrument_id,
        count(*) as bars,
        max(cast(round(high * 10000) as bigint)) as highest,
        min(cast(round(low * 10000) as bigint)) as lowest,
        sum(volume) as volume,
        max(known_at) as known_at
    from bars_prior
    group by as_of_ts, instrument_id
    having count(*) >= 20

),

evaluated as (

    select
        today.*,
        cast(round(today.last_price * 10000) as bigint) as last_units,
        prior.highest,
        prior.lowest,
        prior.volume as prior_volume,
        prior.bars,
        atr.atr_14,
        parameters.*,
        greatest(
            today.known_at, prior.known_at, coalesce(atr.known_at, prior.known_at), today.as_of_ts
        ) as inputs_known_at
    from today
    inner join universe on today.as_of_ts = universe.as_of_ts and today.instrument_id = universe.instrument_id
    inner join prior on today.as_of_ts = prior.as_of_ts and today.instrument_id = prior.instrument_id
    left join atr on today.as_of_ts = atr.as_of_ts and today.instrument_id = atr.instrument_id
    anti join breaks on today.as_of_ts = breaks.as_of_ts and today.instrument_id = breaks.instrument_id
    cross join parameters

),

decided as (

    select
        *,
        case
            when volume * bars * 1000 <= cast(round(volume_factor * 1000) as bigint) * prior_volume then 'HOLD'
            when last_units > highest then 'BUY'
            when last_units < lowest then 'SELL'
            else 'HOLD'
        end as signal_type
    from evaluated

),

measured as (

    select
        *,
        case signal_type when 'BUY' then 1 when 'SELL' then -1 end as side,
        case signal_type when 'BUY' then highest when 'SELL' then lowest end as level,
        cast(volume * bars as double) / nullif(prior_volume, 0) as volume_ratio
    from decided

),

scored as (

    select
        *,
        side * (last_units - level) / 10000.0::double / nullif(atr_14, 0) as distance_atr,
        least(greatest(coalesce(volume_ratio / nullif(volume_factor, 0) - 1, 1), 0), 1) as volume_score
    from measured

),

final as (

    select
        exchange,
        instrument_id,
        symbol,
        session_date,
        as_of_ts as ts,
        '1d' as timeframe,
        signal_type,
        last_price as entry_price,
        round(last_price + side * target_atr * atr_14, 4) as target_price,
        round(last_price - side * stop_atr * atr_14, 4) as stop_loss,
        case
            when signal_type = 'HOLD' then 0.0::double
            else round(0.5 * volume_score + 0.5 * least(coalesce(distance_atr, 0.0::double), 1), 6)
        end as confidence_score,
        case
            when signal_type = 'HOLD' then '{}'
            else cast(
                json_object(
                    'level', level / 10000.0::double,
                    'volume', cast(volume as bigint),
                    'volume_ratio', round(volume_ratio, 6),
                    'atr_14', round(atr_14, 6),
                    'distance_atr', round(distance_atr, 6),
                    'volume_score', round(volume_score, 6)
                ) as varchar
            )
        end as details,
        inputs_known_at as known_at
    from scored

)

select * from final
