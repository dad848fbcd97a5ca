-- A swing point is found in the basis of the session that confirms it, from bars up to that session and no later one.
{{ config(materialized='table') }}

{%- set readers = scan_readers('swing_points') %}

with

moments as (

    select * from {{ ref('moments') }}
    where scanners is null or list_has_any(scanners, {{ readers }})

),

sessions as (

    select * from {{ ref('stg_sessions') }}

),

bars as (

    select
        *,
        regular_before as regular_number
    from {{ ref('int_bars_daily_scope') }}
    where is_regular

),

spans as (

    select * from {{ ref('int_basis_spans') }}

),

strengths as (

    select distinct cast(value as bigint) as strength
    from {{ ref('params') }}
    where name = 'strength' and list_contains({{ readers }}, scanner_name)

),

reach as (

    select
        min(session_number) - {{ swing_reach() }} as first_number,
        max(session_number) as last_number
    from moments

),

confirming as (

    select
        sessions.exchange,
        sessions.session_date,
        sessions.session_number,
        sessions.regular_before as regular_number
    from sessions
    inner join reach on sessions.session_number between reach.first_number and reach.last_number
    where sessions.kind = 'regular'

),

-- The bar in the middle lies `strength` regular sessions before the one that confirms it.
wanted as (

    select
        strengths.strength,
        confirming.exchange,
        confirming.session_date,
        confirming.session_number,
        confirming.regular_number - offsets.regular_ago as bar_number,
        offsets.regular_ago = strengths.strength as is_middle
    from confirming
    cross join strengths
    cross join (select unnest(generate_series(0, 20)) as regular_ago) as offsets
    where offsets.regular_ago <= 2 * strengths.strength

),

seen as (

    select
        wanted.strength,
        wanted.exchange,
        wanted.session_date,
        wanted.session_number,
        wanted.is_middle,
        bars.instrument_id,
        bars.session_date as bar_session_date,
        bars.session_number as bar_session_number,
        bars.regular_number,
        bars.high as raw_high,
        bars.low as raw_low,
        cast(round(bars.high * coalesce(spans.price_factor, 1.0) * 10000) as bigint) as high_units,
        cast(round(bars.low * coalesce(spans.price_factor, 1.0) * 10000) as bigint) as low_units,
        greatest(bars.known_at, coalesce(spans.known_at, bars.known_at)) as known_at
    from wanted
    inner join bars on wanted.bar_number = bars.regular_number
    left join spans
        on
            {{ basis_between('bars.instrument_id', 'bars.session_date', 'wanted.session_date') }}

),

compared as (

    select
        strength,
        exchange,
        instrument_id,
        session_number as confirmed_number,
        any_value(bar_session_date) filter (where is_middle) as session_date,
        any_value(bar_session_number) filter (where is_middle) as session_number,
        any_value(regular_number) filter (where is_middle) as regular_number,
        any_value(raw_high) filter (where is_middle) as high,
        any_value(raw_low) filter (where is_middle) as low,
        any_value(high_units) filter (where is_middle) > max(high_units) filter (where not is_middle) as is_high,
        any_value(low_units) filter (where is_middle) < min(low_units) filter (where not is_middle) as is_low,
        max(known_at) as known_at
    from seen
    group by strength, exchange, instrument_id, session_number
    having count(*) = 2 * strength + 1

),

final as (

    select
        * exclude (high, low, is_high, is_low),
        'high' as kind,
        high as price
    from compared
    where is_high
    union all by name
    select
        * exclude (high, low, is_high, is_low),
        'low' as kind,
        low as price
    from compared
    where is_low

)

select * from final
