{{ config(materialized='table') }}

with

sessions as (

    select * from {{ ref('stg_sessions') }}

),

indicators as (

    select * from {{ ref('int_indicators_daily_known') }}

),

actions as (

    select * from {{ ref('int_price_actions') }}
    where price_factor is null

),

-- A moment within a session sees the session before: one more than the window's.
reach as (

    select
        min(session_number) - 1 as first_number,
        max(session_number) as last_number
    from {{ ref('int_window_sessions') }}

),

effective as (

    select
        actions.instrument_id,
        sessions.session_number
    from actions
    asof inner join sessions
        on actions.exchange = sessions.exchange and actions.ex_date <= sessions.session_date

),

in_reach as (

    select
        indicators.exchange,
        indicators.instrument_id,
        indicators.session_date,
        indicators.symbol,
        sessions.session_number,
        sessions.regular_before,
        indicators.adx_14,
        indicators.plus_di_14,
        indicators.minus_di_14,
        indicators.natr_14,
        case when sessions.kind = 'regular' then cast(round(indicators.natr_14 * 1000000) as bigint) end as regular_atr_units,
        indicators.known_at
    from indicators
    inner join sessions
        on indicators.session_date = sessions.session_date and indicators.exchange = sessions.exchange
    inner join reach on sessions.session_number between reach.first_number - {{ scan_reach() }} and reach.last_number

),

-- Frames count sessions of the exchange, not rows, and reach back less than what is read: a build of one session and one of all
-- history give the same row.
compared as (

    select
        *,
        max(adx_14) over five_before as adx_14_before,
        count(regular_atr_units) over year_before as atr_sessions,
        quantile_disc(regular_atr_units, 0.9) over year_before as atr_high_units,
        max(known_at) over year_before as known_before
    from in_reach
    window
        five_before as (partition by instrument_id order by session_number range between 5 preceding and 5 preceding),
        year_before as (partition by instrument_id order by regular_before range between 252 preceding and 1 preceding)

),

comparable as (

    select
        compared.*,
        adx_14 is not null
        and atr_sessions >= 126
        and not exists (
            select 1
            from effective
            where
                compared.instrument_id = effective.instrument_id
                and compared.session_number between effective.session_number and effective.session_number + 83
        ) as can_be_judged
    from compared
    inner join reach on compared.session_number >= reach.first_number

),

judged as (

    select
        *,
        {{ exact_sign('plus_di_14 - minus_di_14') }} as direction,
        {{ exact_sign('adx_14 - 25') }} = 1
        or coalesce({{ exact_sign('adx_14 - 20') }} = 1 and {{ exact_sign('adx_14 - adx_14_before') }} = 1, false) as is_trending,
        cast(round(natr_14 * 1000000) as bigint) > atr_high_units as is_volatile
    from comparable

),

final as (

    select
        exchange,
        instrument_id,
        session_date,
        session_number,
        symbol,
        case
            when not can_be_judged then null
            when is_volatile then 'volatile'
            when is_trending then 'trend'
            else 'range'
        end as regime,
        case when can_be_judged then cast(direction as bigint) end as direction,
        adx_14,
        adx_14_before,
        natr_14 as atr_pct,
        atr_high_units / 1000000.0::double as atr_pct_high,
        cast(atr_sessions as bigint) as atr_sessions,
        greatest(known_at, coalesce(known_before, known_at)) as known_at
    from judged

)

select * from final
