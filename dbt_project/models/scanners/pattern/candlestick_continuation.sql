-- Rule: docs in candlestick_continuation.yml. The patterns are those of scan.candles; here they become a side, a stop and a score.
with

universe as (

    select * from {{ scan('universe') }}

),

candles as (

    select * from {{ scan('candles') }}

),

parameters as (

    {{ scanner_parameters('candlestick_continuation', numbers=['gap_ranges', 'reward'], choices=['pattern', 'gaps']) }}

),

counted as (

    select
        candles.*,
        parameters.*,
        case when pattern in ('any', 'marubozu') then sign(marubozu) else 0 end as marubozu_side,
        case
            when pattern not in ('any', 'gap') then 0
            when 10000 * gap_units < cast(round(gap_ranges * 1000) as bigint) * ranges_10_units then 0
            when gap <> 0 then sign(gap)
            when gaps = 'any' then sign(gap_filled)
            else 0
        end as gap_side
    from candles
    inner join universe on candles.as_of_ts = universe.as_of_ts and candles.instrument_id = universe.instrument_id
    cross join parameters

),

-- A marubozu against its own gap decides nothing.
decided as (

    select
        *,
        case when marubozu_side * gap_side = -1 then 0 else sign(marubozu_side + gap_side) end as side
    from counted

),

measured as (

    select
        *,
        close_units / 10000.0::double as entry_price,
        case
            when side = 1 then if(gap_side = 1, least(previous_high_units, low_units), low_units)
            else if(gap_side = -1, greatest(previous_low_units, high_units), high_units)
        end / 10000.0::double as stop_loss,
        gap_units / 10000.0::double as gap_size,
        cast(body_units * 10 as double) / nullif(bodies_10_units, 0) as body_ratio,
        cast(side * prior_move_units * 10 as double) / nullif(ranges_10_units, 0) as trend_ranges
    from decided

),

scored as (

    select
        *,
        entry_price + reward * (entry_price - stop_loss) as target_price,
        least(coalesce(body_ratio, 0) / 2, 1) as body_score,
        least(greatest(coalesce(trend_ranges, 0) / 3, 0), 1) as trend_score
    from measured

),

final as (

    select
        *,
        0.5 * body_score + 0.5 * trend_score as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'patterns': "concat_ws(', ', case when marubozu_side <> 0 then 'marubozu' end, case when gap_side <> 0 then "
            ~ "if(gap_side = 1, 'gap_up', 'gap_down') || if(gap = 0, '_filled', '') end)",
        'gap_size': 'gap_size',
        'body_ratio': 'round(body_ratio, 6)',
        'trend_ranges': 'round(trend_ranges, 6)',
        'body_score': 'round(body_score, 6)',
        'trend_score': 'round(trend_score, 6)',
    }) }}

)

select * from signals
