with

moments as (

    select * from {{ ref('moments') }}

),

chosen as (

    select distinct chosen_universes.universe_name
    from {{ ref('chosen_universes') }} as chosen_universes

),

tickers as (

    select * from {{ ref('int_tickers') }}

),

instruments as (

    select distinct
        exchange,
        instrument_id
    from {{ ref('int_listings') }}

),

bars as (

    select * from {{ ref('int_bars_daily_scope') }}
    where is_regular

),

rules as (

    select * from {{ source('lake', 'universe_rules') }}

),

lists as (

    select * from {{ source('lake', 'universe_members') }}

),

moment_sessions as (

    select distinct
        exchange,
        session_date,
        regular_before
    from moments

),

offsets as (

    select unnest(generate_series(1, 20)) as regular_ago

),

-- Where no scanner asks for such a universe there is no session to look at, and nothing is read.
sessions_before as (

    select
        rules.universe_name,
        rules.min_traded_value,
        moment_sessions.exchange,
        moment_sessions.session_date,
        moment_sessions.regular_before - offsets.regular_ago as regular_before
    from chosen
    inner join rules on chosen.universe_name = rules.universe_name
    cross join moment_sessions
    cross join offsets

),

-- Price times volume is the same before and after a split, so each day stands in its own basis; whole numbers, so that no order
-- turns on a float.
traded as (

    select
        sessions_before.universe_name,
        sessions_before.min_traded_value,
        sessions_before.session_date,
        bars.instrument_id,
        list(
            cast(round(bars.close * 10000) as hugeint) * bars.volume
            order by cast(round(bars.close * 10000) as hugeint) * bars.volume desc
        ) as traded_values
    from sessions_before
    inner join bars
        on sessions_before.regular_before = bars.regular_before and sessions_before.exchange = bars.exchange
    where bars.volume > 0
    group by all

),

-- A session without a trade counts as 0, so the median of twenty lies between the tenth and the eleventh of what there was.
by_rule as (

    select
        universe_name,
        session_date,
        instrument_id
    from traded
    where coalesce(traded_values[10], 0) + coalesce(traded_values[11], 0) > 2 * cast(round(min_traded_value * 10000) as hugeint)

),

lists_in_force as (

    select
        lists.universe_name,
        lists.symbol,
        moment_sessions.exchange,
        moment_sessions.session_date
    from lists
    inner join chosen on lists.universe_name = chosen.universe_name
    inner join moment_sessions
        on
            moment_sessions.session_date between lists.valid_from and lists.valid_to
            and (lists.exchange is null or lists.exchange = moment_sessions.exchange)

),

-- A list may name a share by the ticker of the day or by any other that it had or has: the holder on that day comes first, then
-- the last one before, then the next one after.
by_symbol as (

    select
        lists_in_force.universe_name,
        lists_in_force.session_date,
        min_by(
            tickers.instrument_id,
            case
                when lists_in_force.session_date between tickers.used_from and tickers.used_to
                    then (0, date_diff('day', tickers.used_from, lists_in_force.session_date), tickers.instrument_id)
                when tickers.used_to < lists_in_force.session_date
                    then (1, date_diff('day', tickers.used_to, lists_in_force.session_date), tickers.instrument_id)
                else (2, date_diff('day', lists_in_force.session_date, tickers.used_from), tickers.instrument_id)
            end
        ) as instrument_id
    from lists_in_force
    inner join tickers on lists_in_force.exchange = tickers.exchange and lists_in_force.symbol = tickers.symbol
    group by lists_in_force.universe_name, lists_in_force.session_date, lists_in_force.symbol

),

by_id as (

    select
        lists_in_force.universe_name,
        lists_in_force.session_date,
        instruments.instrument_id
    from lists_in_force
    inner join instruments
        on lists_in_force.exchange = instruments.exchange and lists_in_force.symbol = instruments.instrument_id

),

combined as (

    select * from by_rule
    union
    select * from by_symbol
    union
    select * from by_id

)

select * from combined
