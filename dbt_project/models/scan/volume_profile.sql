with

moments as (

    select * from {{ ref('moments') }}

),

bars as (

    select * from {{ ref('stg_bars_1m') }}

),

spans as (

    select * from {{ ref('int_basis_spans') }}

),

-- Half days and special sessions have another shape of day.
regular_sessions as (

    select
        *,
        row_number() over (partition by exchange order by session_number) as regular_number
    from {{ ref('stg_sessions') }}
    where kind = 'regular'

),

latest as (

    select
        moments.as_of_ts,
        moments.exchange,
        moments.session_date,
        regular_sessions.regular_number
    from moments
    asof inner join regular_sessions
        on moments.exchange = regular_sessions.exchange and moments.session_number > regular_sessions.session_number

),

offsets as (

    select unnest(generate_series(0, 19)) as back

),

wanted as (

    select
        latest.as_of_ts,
        latest.exchange,
        latest.session_date as moment_date,
        regular_sessions.session_date,
        regular_sessions.opens_at
    from latest
    cross join offsets
    inner join regular_sessions
        on latest.regular_number - offsets.back = regular_sessions.regular_number and latest.exchange = regular_sessions.exchange

),

minutes as (

    select
        wanted.as_of_ts,
        bars.instrument_id,
        bars.session_date,
        (epoch_us(bars.ts) - epoch_us(wanted.opens_at)) // 60000000 + 1 as minute_of_session,
        case
            when spans.volume_divisor is null then bars.volume
            else cast(round(bars.volume / spans.volume_divisor) as bigint)
        end as volume
    from wanted
    inner join bars on wanted.session_date = bars.session_date and wanted.exchange = bars.exchange
    left join spans
        on
            bars.instrument_id = spans.instrument_id
            and bars.session_date >= spans.bar_from
            and bars.session_date < spans.bar_before
            and wanted.moment_date >= spans.moment_from
            and wanted.moment_date < spans.moment_before

),

traded as (

    select
        as_of_ts,
        instrument_id,
        count(distinct session_date) as sessions
    from minutes
    group by as_of_ts, instrument_id

),

by_minute as (

    select
        as_of_ts,
        instrument_id,
        minute_of_session,
        sum(volume) as volume
    from minutes
    group by as_of_ts, instrument_id, minute_of_session

),

-- Whole shares are summed exactly; the only division comes last.
cumulated as (

    select
        by_minute.as_of_ts,
        by_minute.instrument_id,
        by_minute.minute_of_session,
        cast(
            sum(by_minute.volume) over (
                partition by by_minute.as_of_ts, by_minute.instrument_id order by by_minute.minute_of_session
            ) as double
        ) / traded.sessions as mean_volume,
        traded.sessions
    from by_minute
    inner join traded on by_minute.as_of_ts = traded.as_of_ts and by_minute.instrument_id = traded.instrument_id

)

select * from cumulated
