with

windows as (

    select * from {{ source('lake', 'window_daily') }}
    union all
    select * from {{ source('lake', 'window_1m') }}

),

daily as (

    select * from {{ ref('stg_bars_daily') }}

),

minutes as (

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
    from windows

),

-- A new daily bar outdates the comparison as new minutes do.
days as (

    select daily.*
    from daily
    where
        exists (
            select 1
            from windows
            where
                daily.instrument_id = windows.instrument_id
                and daily.session_date between windows.from_session and windows.to_session
        )

),

-- Where the close is set in an auction, no minute of continuous trading shows it.
averaged as (

    select
        days.*,
        case when closing_auctions.symbol is null then sessions.close_averaged_from end as averaged_from
    from days
    inner join sessions on days.session_date = sessions.session_date and days.exchange = sessions.exchange
    left join closing_auctions
        on
            days.exchange = closing_auctions.exchange
            and days.symbol = closing_auctions.symbol
            and days.session_date between closing_auctions.valid_from and closing_auctions.valid_to

),

final as (

    select
        averaged.exchange,
        averaged.instrument_id,
        averaged.session_date,
        averaged.symbol,
        averaged.high,
        averaged.low,
        averaged.close,
        averaged.volume,
        count(*) as minutes,
        max(minutes.high) as minute_high,
        min(minutes.low) as minute_low,
        sum(minutes.volume) as minute_volume,
        -- In order of time, so that the sum is the same to the last bit.
        sum(
            (minutes.high + minutes.low + minutes.close) / 3 * minutes.volume order by minutes.ts
        ) filter (where minutes.ts >= averaged.averaged_from) as averaged_value,
        sum(minutes.volume) filter (where minutes.ts >= averaged.averaged_from) as averaged_volume
    from averaged
    inner join minutes
        on averaged.instrument_id = minutes.instrument_id and averaged.session_date = minutes.session_date
    where
        minutes.session_date >= (select reach.first_session from reach)
        and minutes.session_date <= (select reach.last_session from reach)
    group by all

)

select * from final
