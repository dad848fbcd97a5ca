with

moments as (

    select * from {{ ref('moments') }}

),

universe as (

    select
        as_of_ts,
        universe_name,
        count(*) as instruments,
        count(*) filter (where has_minutes) as instruments_with_minutes,
        count(*) filter (where has_minutes and is_intraday_allowed) as instruments_intraday
    from {{ ref('universe') }}
    group by as_of_ts, universe_name

),

chosen as (

    select * from {{ ref('chosen_universes') }}

),

scanners (scanner_name, evaluates, min_coverage_pct) as (

    values
        {%- for scanner in scanner_models() %}
        (
            '{{ scanner }}', '{{ scanner_meta(scanner).evaluates }}',
            cast({{ scanner_meta(scanner).get('min_coverage_pct', 50) }} as double)
        ){{ ',' if not loop.last }}
        {%- endfor %}

),

due as (

    select
        scanners.*,
        chosen.universe_name,
        moments.as_of_ts,
        moments.exchange,
        moments.session_date,
        moments.as_of_ts < moments.closes_at as is_within_session
    from moments
    inner join scanners on moments.scanners is null or list_contains(moments.scanners, scanners.scanner_name)
    inner join chosen on scanners.scanner_name = chosen.scanner_name

),

evaluated as (

    select
        scanner_name,
        ts as as_of_ts,
        count(*) as instruments_scanned,
        count(*) filter (where signal_type <> 'HOLD') as found,
        count(*) filter (where sessions_missing > 0) as instruments_with_gaps,
        count(refused_for) as refused
    from {{ ref('int_scanner_evaluations') }}
    group by scanner_name, ts

),

counted as (

    select
        due.*,
        coalesce(evaluated.instruments_scanned, 0) as instruments_scanned,
        coalesce(evaluated.found, 0) as found,
        coalesce(evaluated.instruments_with_gaps, 0) as instruments_with_gaps,
        coalesce(evaluated.refused, 0) as refused,
        -- An instrument that is judged on its first day with minutes was to be expected after all.
        greatest(
            case
                when due.evaluates = 'intraday' then universe.instruments_intraday
                -- While the session runs, minutes are all there is to judge by.
                when due.is_within_session then universe.instruments_with_minutes
                else universe.instruments
            end,
            evaluated.instruments_scanned,
            0
        ) as universe_size
    from due
    left join universe on due.as_of_ts = universe.as_of_ts and due.universe_name = universe.universe_name
    left join evaluated on due.as_of_ts = evaluated.as_of_ts and due.scanner_name = evaluated.scanner_name

),

final as (

    select
        *,
        coalesce(100.0::double * instruments_scanned / nullif(universe_size, 0), 0) as coverage_pct,
        coalesce(100.0::double * instruments_scanned / nullif(universe_size, 0), 0) >= min_coverage_pct as is_covered
    from counted

)

select * from final
