-- Definitions and averaging periods are TA-Lib's (ta_CDL*.c, ta_global.c), in whole ten-thousandths: a mean over ten bars becomes
-- ten times the other side, a factor of 0.1 a hundred times, so that no tie turns on a float. Bar 0 is the moment's own.
{{ config(materialized='table') }}

{%- set readers = scan_readers('candles') %}

with

-- Thirteen regular sessions lie within thirty sessions: the coarse filter is the one that reads less.
bars as (

    select
        *,
        cast(round(open * 10000) as bigint) as o,
        cast(round(high * 10000) as bigint) as h,
        cast(round(low * 10000) as bigint) as l,
        cast(round(close * 10000) as bigint) as c
    from {{ ref('bars_closed') }}
    where
        sessions_ago <= 30
        and (sessions_ago = 0 or regular_ago between 0 and 12)
        and (scanners is null or list_has_any(scanners, {{ readers }}))

),

breaks as (

    select
        as_of_ts,
        instrument_id,
        min(sessions_ago) as latest_break
    from {{ ref('unadjusted_actions') }}
    where scanners is null or list_has_any(scanners, {{ readers }})
    group by as_of_ts, instrument_id

),

gathered as (

    select
        as_of_ts,
        instrument_id,
        any_value(exchange) as exchange,
        any_value(scanners) as scanners,
        any_value(symbol) filter (where sessions_ago = 0) as symbol,
        any_value(bar_session_date) filter (where sessions_ago = 0) as session_date,
        any_value(c) filter (where sessions_ago = 0) as close_units,
        bool_or(sessions_ago = 0 and is_regular) as is_regular,
        count(regular_ago) as bars,
        max(sessions_ago) as reaches_back,
        max(known_at) as known_at,
        {%- for ago in [0, 1, 2] %}
        {%- for price in ['o', 'h', 'l', 'c'] %}
        any_value({{ price }}) filter (where regular_ago = {{ ago }}) as {{ price }}{{ ago }},
        {%- endfor %}
        cast(sum(abs(c - o)) filter (where regular_ago between {{ ago + 1 }} and {{ ago + 10 }}) as bigint) as bodies{{ ago }},
        {%- endfor %}
        cast(sum(h - l) filter (where regular_ago between 1 and 10) as bigint) as ranges0,
        cast(sum(h - l) filter (where regular_ago between 2 and 11) as bigint) as ranges1,
        cast(sum(h - l) filter (where regular_ago between 2 and 6) as bigint) as near1,
        any_value(c) filter (where regular_ago = 3) - any_value(c) filter (where regular_ago = 12) as prior_move_units
    from bars
    group by as_of_ts, instrument_id

),

judged as (

    select gathered.*
    from gathered
    left join breaks on gathered.as_of_ts = breaks.as_of_ts and gathered.instrument_id = breaks.instrument_id
    where
        gathered.close_units is not null
        and (gathered.bars = 13 or not gathered.is_regular)
        and coalesce(breaks.latest_break >= gathered.reaches_back, true)

),

-- Colour 1 where the close is not below the open, as TA-Lib has it; top and bottom are the body's ends.
shaped as (

    select
        *,
        {%- for ago in [0, 1, 2] %}
        abs(c{{ ago }} - o{{ ago }}) as body{{ ago }},
        case when c{{ ago }} >= o{{ ago }} then 1 else -1 end as colour{{ ago }},
        greatest(o{{ ago }}, c{{ ago }}) as top{{ ago }},
        least(o{{ ago }}, c{{ ago }}) as bottom{{ ago }},
        {%- endfor %}
        h0 - greatest(o0, c0) as upper0,
        least(o0, c0) - l0 as lower0
    from judged

),

features as (

    select
        *,
        10 * body0 < bodies0 as short0,
        10 * body0 > bodies0 as long0,
        100 * upper0 < ranges0 as no_upper0,
        100 * lower0 < ranges0 as no_lower0,
        10 * body1 <= bodies1 as short1,
        100 * body1 <= ranges1 as doji1,
        -- The star's own bar is judged by the caller; long body before it, an opposite body above the short mean after it, which
        -- closes more than three tenths into the first one.
        10 * body2 > bodies2 and colour2 = -1 and top1 < bottom2 and 10 * body0 > bodies0 and colour0 = 1
        and 10 * (c0 - c2) > 3 * body2 as star_below,
        10 * body2 > bodies2 and colour2 = 1 and bottom1 > top2 and 10 * body0 > bodies0 and colour0 = -1
        and 10 * (c2 - c0) > 3 * body2 as star_above
    from shaped

),

final as (

    select
        scanners,
        as_of_ts,
        exchange,
        instrument_id,
        symbol,
        session_date,
        is_regular,
        case when 100 * body0 <= ranges0 then 100 else 0 end as doji,
        case
            when colour0 = colour1 then 0
            when colour0 = 1 and ((c0 >= o1 and o0 < c1) or (c0 > o1 and o0 <= c1)) then if(o0 <> c1 and c0 <> o1, 100, 80)
            when colour0 = -1 and ((o0 > c1 and c0 <= o1) or (o0 >= c1 and c0 < o1)) then if(o0 <> c1 and c0 <> o1, -100, -80)
            else 0
        end as engulfing,
        case when short0 and lower0 > body0 and no_upper0 and 25 * (bottom0 - l1) <= near1 then 100 else 0 end as hammer,
        case when short0 and lower0 > body0 and no_upper0 and 25 * (h1 - bottom0) <= near1 then -100 else 0 end as hanging_man,
        case when short0 and upper0 > body0 and no_lower0 and top0 < bottom1 then 100 else 0 end as inverted_hammer,
        case when short0 and upper0 > body0 and no_lower0 and bottom0 > top1 then -100 else 0 end as shooting_star,
        case when star_below and short1 then 100 else 0 end as morning_star,
        case when star_above and short1 then -100 else 0 end as evening_star,
        case when star_below and doji1 then 100 else 0 end as morning_doji_star,
        case when star_above and doji1 then -100 else 0 end as evening_doji_star,
        case when long0 and no_upper0 and no_lower0 then 100 * colour0 else 0 end as marubozu,
        case when l0 > h1 then 100 when h0 < l1 then -100 else 0 end as gap,
        case when o0 > h1 and l0 <= h1 then 100 when o0 < l1 and h0 >= l1 then -100 else 0 end as gap_filled,
        close_units,
        h0 as high_units,
        l0 as low_units,
        h1 as previous_high_units,
        l1 as previous_low_units,
        greatest(h0, h1) as high_2_units,
        least(l0, l1) as low_2_units,
        greatest(h0, h1, h2) as high_3_units,
        least(l0, l1, l2) as low_3_units,
        case when o0 > h1 then o0 - h1 when o0 < l1 then l1 - o0 else 0 end as gap_units,
        body0 as body_units,
        bodies0 as bodies_10_units,
        ranges0 as ranges_10_units,
        prior_move_units,
        known_at
    from features

)

select * from final
