with

signals as (

    select * from {{ ref('scanner_signals') }}

),

regimes as (

    select * from {{ ref('regime') }}

),

families as (

    select * from {{ ref('int_scanner_families') }}

),

sides as (

    select
        signals.exchange,
        signals.instrument_id,
        signals.session_date,
        signals.ts as as_of_ts,
        signals.signal_type,
        max(signals.symbol) as symbol,
        count(*) as agreeing,
        count(distinct families.family) as agreeing_families,
        string_agg(signals.scanner_name, ', ' order by signals.scanner_name) as agreeing_scanners,
        -- Summed in whole millionths: the order of rows must not show in the last bit.
        cast(sum(cast(round(signals.confidence_score * 1000000) as bigint)) as double) / count(*) / 1000000 as mean_score,
        max(signals.known_at) as known_at
    from signals
    left join families on signals.scanner_name = families.scanner_name
    group by signals.exchange, signals.instrument_id, signals.session_date, signals.ts, signals.signal_type

),

opposed as (

    select
        sides.*,
        coalesce(against.agreeing, 0) as disagreeing,
        against.agreeing_scanners as disagreeing_scanners,
        regimes.regime,
        regimes.direction as regime_direction,
        case sides.signal_type when 'BUY' then 1 else -1 end as side,
        -- Who disagrees is part of the row: it was known no sooner than they were.
        greatest(
            sides.known_at, coalesce(against.known_at, sides.known_at), coalesce(regimes.known_at, sides.known_at)
        ) as row_known_at
    from sides
    left join sides as against
        on
            sides.instrument_id = against.instrument_id
            and sides.as_of_ts = against.as_of_ts
            and sides.signal_type <> against.signal_type
    left join regimes on sides.instrument_id = regimes.instrument_id and sides.as_of_ts = regimes.as_of_ts

),

scored as (

    select
        *,
        least((agreeing_families - 1) / 2.0::double, 1) as breadth_score,
        case
            when regime = 'volatile' then 0.0::double
            when regime = 'trend' and regime_direction = side then 1.0::double
            when regime = 'trend' and regime_direction = -side then 0.0::double
            else 0.5::double
        end as regime_score,
        cast(disagreeing as double) / (agreeing + disagreeing) as opposition
    from opposed

),

final as (

    select
        exchange,
        instrument_id,
        session_date,
        as_of_ts,
        signal_type,
        symbol,
        cast(agreeing as bigint) as agreeing,
        agreeing_scanners,
        cast(agreeing_families as bigint) as agreeing_families,
        cast(disagreeing as bigint) as disagreeing,
        disagreeing_scanners,
        regime,
        cast(regime_direction as bigint) as regime_direction,
        mean_score,
        breadth_score,
        regime_score,
        opposition,
        round((0.5 * mean_score + 0.3 * breadth_score + 0.2 * regime_score) * (1 - opposition), 6) as combined_score,
        row_known_at as known_at,
        cast(year(session_date) as bigint) as session_year
    from scored

)

select * from final
order by session_date, instrument_id, as_of_ts, signal_type
