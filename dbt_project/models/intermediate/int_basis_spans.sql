with

actions as (

    select * from {{ ref('int_price_actions') }}
    where price_factor is not null

),

numbered as (

    select
        instrument_id,
        ex_date,
        row_number() over by_date as position,
        lag(ex_date) over by_date as previous_ex_date,
        lead(ex_date) over by_date as next_ex_date
    from actions
    window by_date as (partition by instrument_id order by ex_date, action)

),

listed as (

    select
        instrument_id,
        list(price_factor order by ex_date, action) as price_factors,
        list(volume_divisor order by ex_date, action) as volume_divisors,
        list(known_at order by ex_date, action) as known_ats
    from actions
    group by instrument_id

),

-- Every run of consecutive actions that may lie between a bar and a moment. Multiplying in order, over just that run, keeps the
-- factor the same to the last bit whatever else a build happens to read.
spans as (

    select
        oldest.instrument_id,
        coalesce(oldest.previous_ex_date, date '0001-01-01') as bar_from,
        oldest.ex_date as bar_before,
        newest.ex_date as moment_from,
        coalesce(newest.next_ex_date, date '9999-12-31') as moment_before,
        list_reduce(listed.price_factors[oldest.position:newest.position], lambda a, b: a * b) as price_factor,
        list_reduce(listed.volume_divisors[oldest.position:newest.position], lambda a, b: a * b) as volume_divisor,
        list_max(listed.known_ats[oldest.position:newest.position]) as known_at
    from numbered as oldest
    inner join numbered as newest
        on oldest.instrument_id = newest.instrument_id and oldest.position <= newest.position
    inner join listed on oldest.instrument_id = listed.instrument_id

)

select * from spans
where bar_from < bar_before and moment_from < moment_before
