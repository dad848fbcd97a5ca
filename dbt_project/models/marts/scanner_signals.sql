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

issued as (

    select
        *,
        1 as is_current
    from {{ source('lake', 'scanner_signals') }}
    union all by name
    select
        * exclude (superseded_at, superseded_by_batch),
        0 as is_current
    from {{ source('lake', 'scanner_signals_superseded') }}

),

first_issued as (

    select * exclude (is_current, superseded_by)
    from issued
    qualify row_number() over (partition by signal_id order by known_at asc, is_current desc) = 1

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

),

-- A signal is a record: one that was issued before any of its inputs was restated stays as it was issued, and known since then.
unchanged as (

    select
        first_issued.*,
        cast(null as varchar) as superseded_by
    from first_issued
    inner join identified on first_issued.signal_id = identified.signal_id and first_issued.known_at < identified.known_at

),

final as (

    select identified.*
    from identified
    left join unchanged on identified.signal_id = unchanged.signal_id
    where unchanged.signal_id is null
    union all by name
    select * from unchanged

)

select * from final
order by session_date, scanner_name, instrument_id, ts, signal_id
