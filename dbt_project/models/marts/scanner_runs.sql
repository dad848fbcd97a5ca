with

coverage as (

    select * from {{ ref('int_scanner_coverage') }}

),

final as (

    select
        scanner_name,
        exchange,
        session_date,
        as_of_ts,
        'nightly' as mode,
        cast(universe_size as bigint) as universe_size,
        cast(instruments_scanned as bigint) as instruments_scanned,
        coverage_pct,
        case
            when not is_covered then 'withheld'
            when instruments_scanned < universe_size then 'partial'
            else 'complete'
        end as status,
        cast(case when is_covered then found else 0 end as bigint) as signals,
        cast(case when is_covered then 0 else found end as bigint) as signals_withheld,
        cast(instruments_with_gaps as bigint) as instruments_with_gaps,
        cast(refused as bigint) as signals_refused,
        cast(null as double) as duration_ms,
        cast(year(session_date) as bigint) as session_year
    from coverage

)

select * from final
order by session_date, scanner_name, as_of_ts
