with

moments as (

    select * from {{ ref('moments') }}

),

curves as (

    select * from {{ ref('int_intraday_curves_known') }}

),

spans as (

    select * from {{ ref('int_basis_spans') }}

),

-- Half days and special sessions have another shape of day.
regular_sessions as (

    select * from {{ ref('stg_sessions') }}
    where kind = 'regular'

),

offsets as (

    select unnest(generate_series(1, 20)) as regular_ago

),

wanted as (

    select
        moments.scanners,
        moments.as_of_ts,
        moments.exchange,
        moments.session_date as moment_date,
        moments.minute_of_session,
        regular_sessions.session_date
    from moments
    cross join offsets
    inner join regular_sessions
        on
            moments.regular_before - offsets.regular_ago = regular_sessions.regular_before
            and moments.exchange = regular_sessions.exchange

),

by_then as (

    select
        wanted.scanners,
        wanted.as_of_ts,
        curves.instrument_id,
        wanted.minute_of_session,
        case
            when spans.volume_divisor is null then curves.volume_so_far[wanted.minute_of_session]
            else cast(round(curves.volume_so_far[wanted.minute_of_session] / spans.volume_divisor) as bigint)
        end as volume,
        cast(
            round(
                (curves.high_so_far[wanted.minute_of_session] - curves.low_so_far[wanted.minute_of_session])
                * coalesce(spans.price_factor, 1.0) * 10000
            ) as bigint
        ) as range_units,
        greatest(curves.known_so_far[wanted.minute_of_session], coalesce(spans.known_at, wanted.as_of_ts)) as known_at
    from wanted
    inner join curves on wanted.session_date = curves.session_date and wanted.exchange = curves.exchange
    left join spans
        on
            curves.instrument_id = spans.instrument_id
            and curves.session_date >= spans.bar_from
            and curves.session_date < spans.bar_before
            and wanted.moment_date >= spans.moment_from
            and wanted.moment_date < spans.moment_before

),

-- Whole shares and whole ten-thousandths are summed exactly; the only division comes last.
final as (

    select
        any_value(scanners) as scanners,
        as_of_ts,
        instrument_id,
        minute_of_session,
        count(*) as sessions,
        cast(sum(volume) as double) / count(*) as mean_volume,
        cast(median(volume) as double) as median_volume,
        cast(sum(range_units) as double) / nullif(count(range_units), 0) / 10000 as mean_range,
        max(known_at) as known_at
    from by_then
    where volume is not null
    group by as_of_ts, instrument_id, minute_of_session

)

select * from final
