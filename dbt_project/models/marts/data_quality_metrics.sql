with

measured as (

    select * from {{ ref('int_quality_daily') }}
    union all by name
    select * from {{ ref('int_quality_1m') }}

),

final as (

    select
        table_name,
        exchange,
        symbol,
        session_date as date,
        instrument_id,
        cast(records as bigint) as total_records,
        cast(records - outlier_count as bigint) as valid_records,
        cast(expected_records as bigint) as expected_records,
        greatest(100.0::double * (expected_records - records) / nullif(expected_records, 0), 0.0::double) as missing_data_pct,
        cast(outlier_count as bigint) as outlier_count,
        cast(records - outlier_count as double) / greatest(records, expected_records) as data_quality_score,
        last_updated,
        cast(year(session_date) as bigint) as session_year
    from measured

)

select * from final
order by symbol, date, table_name
