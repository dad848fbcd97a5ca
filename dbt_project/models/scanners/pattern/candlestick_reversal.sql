-- Rule: docs in candlestick_reversal.yml. The patterns are those of scan.candles; here they become a side, a stop and a score.
{%- set patterns = {
    'engulfing': ('engulfing', 2),
    'hammer': ('hammer', 1),
    'hanging_man': ('hammer', 1),
    'inverted_hammer': ('hammer', 1),
    'shooting_star': ('hammer', 1),
    'morning_star': ('star', 3),
    'evening_star': ('star', 3),
    'morning_doji_star': ('star', 3),
    'evening_doji_star': ('star', 3),
} %}

with

universe as (

    select * from {{ scan('universe') }}

),

candles as (

    select * from {{ scan('candles') }}

),

parameters as (

    {{ scanner_parameters('candlestick_reversal', numbers=['trend', 'reward'], choices=['pattern']) }}

),

-- A side is open where the move before was against it by at least `trend` mean ranges; 0 asks for none.
opened as (

    select
        candles.*,
        parameters.*,
        trend = 0 or -10000 * prior_move_units >= cast(round(trend * 1000) as bigint) * ranges_10_units as may_buy,
        trend = 0 or 10000 * prior_move_units >= cast(round(trend * 1000) as bigint) * ranges_10_units as may_sell
    from candles
    inner join universe on candles.as_of_ts = universe.as_of_ts and candles.instrument_id = universe.instrument_id
    cross join parameters

),

named as (

    select
        *,
        list_filter([
            {%- for name, (group, bars) in patterns.items() %}
            case
                when pattern in ('any', '{{ group }}') and (({{ name }} > 0 and may_buy) or ({{ name }} < 0 and may_sell))
                    then { 'name': '{{ name }}', 'side': sign({{ name }}), 'bars': {{ bars }} }
            end{{ ',' if not loop.last }}
            {%- endfor %}
        ], lambda x: x is not null) as found
    from opened

),

-- Patterns that contradict each other, as a hammer that is a hanging man too, decide nothing.
decided as (

    select
        *,
        case when len(list_distinct(list_transform(found, lambda x: x.side))) = 1 then found[1].side end as side,
        list_max(list_transform(found, lambda x: x.bars)) as widest
    from named

),

measured as (

    select
        *,
        close_units / 10000.0::double as entry_price,
        case
            when side = 1 then case widest when 1 then low_units when 2 then low_2_units else low_3_units end
            else case widest when 1 then high_units when 2 then high_2_units else high_3_units end
        end / 10000.0::double as stop_loss,
        cast(-side * prior_move_units * 10 as double) / nullif(ranges_10_units, 0) as trend_ranges,
        cast((high_units - low_units) * 10 as double) / nullif(ranges_10_units, 0) as range_ratio
    from decided

),

scored as (

    select
        *,
        entry_price + reward * (entry_price - stop_loss) as target_price,
        least(greatest(coalesce(trend_ranges, 0) / 3, 0), 1) as trend_score,
        least(coalesce(range_ratio, 0) / 2, 1) as size_score
    from measured

),

final as (

    select
        *,
        0.5 * trend_score + 0.5 * size_score as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'patterns': "array_to_string(list_transform(found, lambda x: x.name), ', ')",
        'doji': 'doji = 100',
        'bars': 'widest',
        'trend_ranges': 'round(trend_ranges, 6)',
        'range_ratio': 'round(range_ratio, 6)',
        'trend_score': 'round(trend_score, 6)',
        'size_score': 'round(size_score, 6)',
    }) }}

)

select * from signals
