with

window_1m as (

    select * from {{ source('lake', 'window_1m') }}

),

bars as (

    select * from {{ ref('stg_bars_1m') }}

),

sessions as (

    select * from {{ ref('stg_sessions') }}

),

closing_auctions as (

    select * from {{ source('lake', 'closing_auctions') }}

),

reach as (

    select
        min(from_session) as first_session,
        max(to_session) as last_session
    from window_1m

),

in_window as (

    select
        bars.*,
        lag(bars.close) over (partition by bars.instrument_id, bars.session_date order by bars.ts) as previous_close
    from bars
    inner join window_1m on bars.instrument_id = window_1m.instrument_id
    where
        bars.session_date between window_1m.from_session and window_1m.to_session
        and bars.session_date >= (select reach.first_session from reach)
        and bars.session_date <= (select reach.last_session from reach)

),

final as (

    select
        'bars_1m' as table_name,
        in_window.exchange,
        min(in_window.instrument_id) as instrument_id,
        in_window.symbol,
        in_window.session_date,
        count(*) as records,
        max(
            case
                when closing_auctions.symbol is null then sessions.bars_expected
                else coalesce(sessions.bars_expected_auction, sessions.bars_expected)
            end
        ) as expected_records,
        count(*) filter (where abs(in_window.close / nullif(in_window.previous_close, 0) - 1) > 0.5) as outlier_count,
        max(in_window.known_at) as last_updated
    from in_window
    inner join sessions
        on in_window.session_date = sessions.session_date and in_window.exchange = sessions.exchange
    left join closing_auctions
        on
            in_window.exchange = closing_auctions.exchange
            and in_window.symbol = closing_auctions.symbol
            and in_window.session_date between closing_auctions.valid_from and closing_auctions.valid_to
    group by in_window.exchange, in_window.symbol, in_window.session_date

)

select * from final
