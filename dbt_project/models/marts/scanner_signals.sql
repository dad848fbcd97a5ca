with

evaluations as (

    select * from {{ ref('int_scanner_evaluations') }}
    where signal_type <> 'HOLD'

),

covered as (

    select
        scanner_name,
        as_of_ts
    from {{ ref('int_scanner_coverage') }}
    where is_covered

),

parameter_sets as (

    select
        scanner_name,
        sha256(string_agg(name || '=' || coalesce(choice, cast(value as varchar)), ';' order by name)) as parameters_hash
    from {{ ref('params') }}
    group by scanner_name

),

identified as (

    select
        sha256(
            concat_ws(
                '|',
                evaluations.scanner_name,
                evaluations.scanner_version,
                coalesce(parameter_sets.parameters_hash, ''),
                evaluations.instrument_id,
                evaluations.session_date,
                strftime(make_timestamp(epoch_us(evaluations.ts)), '%Y-%m-%dT%H:%M:%SZ'),
                evaluations.signal_type
            )
        ) as signal_id,
        evaluations.scanner_name,
        evaluations.scanner_version,
        evaluations.exchange,
        evaluations.instrument_id,
        evaluations.symbol,
        evaluations.session_date,
        evaluations.ts,
        evaluations.timeframe,
        evaluations.signal_type,
        evaluations.entry_price,
        evaluations.target_price,
        evaluations.stop_loss,
        evaluations.confidence_score,
        evaluations.details,
        cast(null as varchar) as superseded_by,
        greatest(evaluations.known_at, evaluations.ts) as known_at,
        cast(year(evaluations.session_date) as bigint) as session_year
    from evaluations
    inner join covered on evaluations.scanner_name = covered.scanner_name and evaluations.ts = covered.as_of_ts
    left join parameter_sets on evaluations.scanner_name = parameter_sets.scanner_name

)

select * from identified
order by session_date, scanner_name, instrument_id, ts, signal_id
