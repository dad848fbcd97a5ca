-- Rule: docs in narrow_range.yml. Ranges are whole ten-thousandths of regular sessions only.
with

universe as (

    select * from {{ scan('universe') }}

),

-- Eight regular sessions lie within twenty sessions: the coarse filter is the one that reads less.
bars as (

    select
        *,
        cast(round(high * 10000) as bigint) as h,
        cast(round(low * 10000) as bigint) as l,
        cast(round(close * 10000) as bigint) as c
    from {{ scan('bars_closed', where='sessions_ago <= 20 and (sessions_ago = 0 or regular_ago between 0 and 7)') }}

),

breaks as (

    select
        as_of_ts,
        instrument_id,
        min(sessions_ago) as latest_break
    from {{ scan('unadjusted_actions') }}
    group by as_of_ts, instrument_id

),

parameters as (

    {{ scanner_parameters('narrow_range', numbers=['reward'], choices=['pattern']) }}

),

gathered as (

    select
        as_of_ts,
        instrument_id,
        any_value(exchange) as exchange,
        any_value(symbol) filter (where sessions_ago = 0) as symbol,
        any_value(bar_session_date) filter (where sessions_ago = 0) as session_date,
        any_value(c) filter (where sessions_ago = 0) as close_units,
        bool_or(sessions_ago = 0 and is_regular) as is_regular,
        count(regular_ago) as bars,
        max(sessions_ago) as reaches_back,
        any_value(h) filter (where regular_ago = 1) as h1,
        any_value(l) filter (where regular_ago = 1) as l1,
        any_value(h) filter (where regular_ago = 2) as h2,
        any_value(l) filter (where regular_ago = 2) as l2,
        min(h - l) filter (where regular_ago between 2 and 4) as narrowest_3,
        min(h - l) filter (where regular_ago between 2 and 7) as narrowest_6,
        cast(sum(h - l) filter (where regular_ago between 2 and 7) as bigint) as ranges_6,
        max(known_at) as known_at
    from bars
    group by as_of_ts, instrument_id

),

judged as (

    select
        gathered.*,
        parameters.*
    from gathered
    inner join universe on gathered.as_of_ts = universe.as_of_ts and gathered.instrument_id = universe.instrument_id
    left join breaks on gathered.as_of_ts = breaks.as_of_ts and gathered.instrument_id = breaks.instrument_id
    cross join parameters
    where
        gathered.close_units is not null
        and (gathered.bars = 8 or not gathered.is_regular)
        and coalesce(breaks.latest_break >= gathered.reaches_back, true)

),

named as (

    select
        *,
        list_filter([
            case when pattern in ('any', 'inside_bar') and h1 < h2 and l1 > l2 then 'inside_bar' end,
            case when pattern in ('any', 'nr4') and h1 - l1 < narrowest_3 then 'nr4' end,
            case when pattern in ('any', 'nr7') and h1 - l1 < narrowest_6 then 'nr7' end
        ], lambda x: x is not null) as found
    from judged

),

decided as (

    select
        *,
        case
            when len(found) = 0 or not is_regular then 0
            when close_units > h1 then 1
            when close_units < l1 then -1
            else 0
        end as side
    from named

),

measured as (

    select
        *,
        close_units / 10000.0::double as entry_price,
        case side when 1 then h1 else l1 end / 10000.0::double as level,
        case side when 1 then l1 else h1 end / 10000.0::double as stop_loss,
        cast((h1 - l1) * 6 as double) / nullif(ranges_6, 0) as range_ratio,
        cast(if(side = 1, close_units - h1, l1 - close_units) * 6 as double) / nullif(ranges_6, 0) as distance_ranges
    from decided

),

scored as (

    select
        *,
        entry_price + reward * (entry_price - stop_loss) as target_price,
        greatest(1 - coalesce(range_ratio, 1), 0) as narrow_score,
        least(coalesce(distance_ranges, 0), 1) as distance_score
    from measured

),

final as (

    select
        *,
        0.5 * narrow_score + 0.5 * distance_score as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', details={
        'patterns': "array_to_string(found, ', ')",
        'level': 'level',
        'range_ratio': 'round(range_ratio, 6)',
        'distance_ranges': 'round(distance_ranges, 6)',
        'narrow_score': 'round(narrow_score, 6)',
        'distance_score': 'round(distance_score, 6)',
    }) }}

)

select * from signals
