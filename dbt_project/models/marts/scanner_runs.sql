with

universe as (

    select
        as_of_ts,
        count(*) as universe_size
    from {{ ref('universe') }}
    group by as_of_ts

),

moments as (

    select * from {{ ref('moments') }}

),

scanners(scanner_name, at_close) as (

    values
        {%- for scanner in scanner_models() %}
        ('{{ scanner }}', {{ 'close' in scanner_meta(scanner).moments }}){{ ',' if not loop.last }}
        {%- endfor %}

),

evaluated as (

    select
        scanner_name,
        ts as as_of_ts,
        count(*) as instruments_scanned,
        count(*) filter (where signal_type <> 'HOLD') as signals
    from {{ ref('int_scanner_evaluations') }}
    group by scanner_name, ts

),

counted as (

    select
        scanners.scanner_name,
        moments.exchange,
        moments.session_date,
        moments.as_of_ts,
        'nightly' as mode,
        cast(coalesce(universe.universe_size, 0) as bigint) as universe_size,
        cast(coalesce(evaluated.instruments_scanned, 0) as bigint) as instruments_scanned,
        coalesce(100.0::double * evaluated.instruments_scanned / universe.universe_size, 0) as coverage_pct,
        cast(coalesce(evaluated.signals, 0) as bigint) as signals,
        cast(null as double) as duration_ms,
        cast(year(moments.session_date) as bigint) as session_year
    from moments
    inner join scanners on scanners.at_close or moments.as_of_ts < moments.closes_at
    left join universe on moments.as_of_ts = universe.as_of_ts
    left join evaluated
        on moments.as_of_ts = evaluated.as_of_ts and scanners.scanner_name = evaluated.scanner_name

)

select * from counted
order by session_date, scanner_name, as_of_ts
