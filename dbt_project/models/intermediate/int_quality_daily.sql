with

window_daily as (

    select * from {{ source('lake', 'window_daily') }}

),

sessions as (

    select * from {{ ref('int_window_sessions') }}

),

listings as (

    select * from {{ ref('int_listings') }}

),

tickers as (

    select * from {{ ref('int_tickers') }}

),

bars as (

    select * from {{ ref('int_bars_daily_scope') }}

),

spans as (

    select * from {{ ref('int_basis_spans') }}

),

steps as (

    select * from {{ ref('int_price_steps') }}

),

actions as (

    select * from {{ ref('int_price_actions') }}

),

-- One row per session in which the instrument should have traded: it has a bar, or it was listed and has none. Its ticker is that
-- of the session, whatever it is called since.
listed as (

    select
        window_daily.instrument_id,
        sessions.exchange,
        sessions.session_date,
        sessions.session_number,
        sessions.closes_at,
        case when count(listings.instrument_id) > 0 then max_by(tickers.symbol, tickers.used_from) end as symbol
    from window_daily
    inner join sessions on sessions.session_date between window_daily.from_session and window_daily.to_session
    left join listings
        on
            window_daily.instrument_id = listings.instrument_id
            and sessions.session_date between listings.listed_from and listings.listed_to
    left join tickers
        on
            window_daily.instrument_id = tickers.instrument_id
            and sessions.session_date <= tickers.used_to
            and (sessions.session_date >= tickers.used_from or tickers.is_first)
    group by all

),

measured as (

    select
        listed.*,
        bars.symbol as traded_symbol,
        bars.known_at,
        abs(bars.close / nullif(previous.close * coalesce(spans.price_factor, 1.0), 0) - 1) > 0.5
        and not exists (
            select 1
            from actions
            where
                actions.instrument_id = listed.instrument_id
                and actions.price_factor is null
                and actions.ex_date > previous.session_date
                and actions.ex_date <= listed.session_date
        )
        -- Ten times the usual range, and a fifth of the price at least.
        or coalesce(
            steps.usual_range > 0 and steps.relative_range >= 10 * steps.usual_range and steps.relative_range >= 0.2, false
        ) as is_outlier
    from listed
    left join bars
        on listed.instrument_id = bars.instrument_id and listed.session_number = bars.session_number
    left join steps
        on listed.instrument_id = steps.instrument_id and listed.session_number = steps.session_number
    left join bars as previous
        on listed.instrument_id = previous.instrument_id and listed.session_number - 1 = previous.session_number
    left join spans
        on
            {{ basis_between('listed.instrument_id', 'previous.session_date', 'listed.session_date') }}
    -- Under a ticker that another instrument traded by that day nothing is missing.
    where
        bars.instrument_id is not null
        or (
            listed.symbol is not null
            and not exists (
                select 1
                from bars as others
                where others.session_number = listed.session_number and others.symbol = listed.symbol
            )
        )

),

final as (

    select
        'bars_daily' as table_name,
        exchange,
        min(instrument_id) as instrument_id,
        coalesce(traded_symbol, symbol) as symbol,
        session_date,
        count(traded_symbol) as records,
        cast(1 as bigint) as expected_records,
        count(*) filter (where is_outlier) as outlier_count,
        coalesce(max(known_at), max(closes_at)) as last_updated
    from measured
    group by exchange, coalesce(traded_symbol, symbol), session_date

)

select * from final
