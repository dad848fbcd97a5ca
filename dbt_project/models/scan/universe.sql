with

moments as (

    select * from {{ ref('moments') }}

),

listings as (

    select * from {{ ref('int_listings') }}

),

traded_lately as (

    select * from {{ ref('int_traded_lately') }}

),

profiles as (

    select * from {{ ref('int_intraday_profiles_known') }}

),

chosen as (

    select * from {{ ref('chosen_universes') }}

),

members as (

    select * from {{ ref('int_universe_members') }}

),

-- A row for each universe that scanners of the moment ask for, so that each scanner finds just the instruments of its own.
asked as (

    select
        moments.as_of_ts,
        moments.exchange,
        moments.session_date,
        chosen.universe_name,
        list(chosen.scanner_name order by chosen.scanner_name) as scanners
    from moments
    inner join chosen on moments.scanners is null or list_contains(moments.scanners, chosen.scanner_name)
    group by all

),

listed as (

    select
        asked.scanners,
        asked.as_of_ts,
        asked.exchange,
        asked.session_date,
        asked.universe_name,
        listings.instrument_id,
        traded_lately.symbol,
        profiles.instrument_id is not null as has_minutes,
        -- NSE settles these series trade by trade: what is bought there cannot be sold the same day.
        traded_lately.series not in ('BE', 'BZ') as is_intraday_allowed
    from asked
    -- What traded in the sessions before was listed then: only an end of its listing says otherwise.
    inner join listings
        on
            asked.exchange = listings.exchange
            and asked.session_date <= listings.listed_to
            and (asked.session_date >= listings.listed_from or listings.is_first)
    inner join traded_lately
        on asked.session_date = traded_lately.session_date and listings.instrument_id = traded_lately.instrument_id
    left join profiles
        on asked.session_date = profiles.session_date and listings.instrument_id = profiles.instrument_id
    left join members
        on
            asked.session_date = members.session_date
            and asked.universe_name = members.universe_name
            and listings.instrument_id = members.instrument_id
    where asked.universe_name = 'all' or members.instrument_id is not null

)

select * from listed
