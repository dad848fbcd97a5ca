with

evaluations as (

    select * from {{ ref('int_scanner_evaluations') }}
    where signal_type <> 'HOLD'

),

-- Every active instrument is evaluated, so that coverage is whole; only the window's own rows are replaced in the lake.
window_daily as (

    select * from {{ source('lake', 'window_daily') }}

),

in_window as (

    select evaluations.*
    from evaluations
    inner join window_daily
        on
            evaluations.instrument_id = window_daily.instrument_id
            and evaluations.session_date between window_daily.from_session and window_daily.to_session

),

parameter_sets as (

    select
        scanner_name,
        sha256(string_agg(name || '=' || cast(value as varchar), ';' order by name)) as parameters_hash
    from {{ ref('params') }}
    group by scanner_name

),

identified as (

    select
        sha256(
            concat_ws(
                '|',
                in_window.scanner_name,
                in_window.scanner_version,
                coalesce(parameter_sets.parameters_hash, ''),
                in_window.instrument_id,
                in_window.session_date,
                strftime(make_timestamp(epoch_us(in_window.ts)), '%Y-%m-%dT%H:%M:%SZ'),
                in_window.signal_type
            )
        ) as signal_id,
        in_window.scanner_name,
        in_window.scanner_version,
        in_window.exchange,
        in_window.instrument_id,
        in_window.symbol,
        in_window.session_date,
        in_window.ts,
        in_window.timeframe,
        in_window.signal_type,
        in_window.entry_price,
        in_window.target_price,
        in_window.stop_loss,
        in_window.confidence_score,
        in_window.details,
        cast(null as varchar) as superseded_by,
        greatest(in_window.known_at, in_window.ts) as known_at,
        cast(year(in_window.session_date) as bigint) as session_year
    from in_window
    left join parameter_sets on in_window.scanner_name = parameter_sets.scanner_name

)

select * from identified
order by session_date, scanner_name, instrument_id, ts, signal_id
