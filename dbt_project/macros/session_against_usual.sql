{#-
  CTEs that scanners of relative volume share, the last being `compared`: per instrument the session so far, beside what the 20
  regular sessions before had done by the same minute, the official close before and the scanner's parameters (`numbers`,
  `choices`; besides these always `average` and `min_sessions`).

  Left out: trade-to-trade series, special sessions, fewer than min_sessions sessions to compare with or no volume in them, no
  close of the session before, and prices that an action of unknown ratio parts.
-#}
{% macro session_against_usual(scanner, numbers, choices=[]) -%}
universe as (

    select * from {{ scan('universe') }}
    where is_intraday_allowed

),

today as (

    select
        * exclude (highs, lows, closes),
        cast(round(open * 10000) as bigint) as open_units,
        cast(round(high * 10000) as bigint) as high_units,
        cast(round(low * 10000) as bigint) as low_units,
        cast(round(last_price * 10000) as bigint) as last_units
    from {{ scan('intraday_so_far') }}
    where is_regular

),

parameters as (

    {{ scanner_parameters(scanner, numbers=numbers + ['min_sessions'], choices=choices + ['average']) }}

),

-- A mean is compared as the whole sum and its count, a median as its double: without a division.
usual as (

    select
        profile.as_of_ts,
        profile.instrument_id,
        profile.sessions,
        profile.mean_range,
        profile.known_at,
        case parameters.average
            when 'median' then cast(round(profile.median_volume * 2) as bigint)
            else cast(round(profile.mean_volume * profile.sessions) as bigint)
        end as usual_sum,
        case parameters.average when 'median' then 2 else profile.sessions end as usual_count,
        parameters.*
    from {{ scan('volume_profile') }} as profile
    cross join parameters
    where profile.sessions >= parameters.min_sessions

),

previous as (

    select
        as_of_ts,
        instrument_id,
        close as previous_close,
        cast(round(close * 10000) as bigint) as previous_units,
        known_at
    from {{ scan('bars_prior', where='sessions_ago = 1') }}

),

atr as (

    select
        as_of_ts,
        instrument_id,
        atr_14 * price_factor as atr_14,
        known_at
    from {{ scan('indicators_prior', where='sessions_ago = 1') }}

),

breaks as (

    select distinct
        as_of_ts,
        instrument_id
    from {{ scan('unadjusted_actions') }}
    where regular_ago < 20

),

compared as (

    select
        today.* exclude (known_at),
        usual.* exclude (as_of_ts, instrument_id, known_at),
        previous.previous_close,
        previous.previous_units,
        atr.atr_14,
        cast(today.volume * usual.usual_count as double) / usual.usual_sum as relative_volume,
        greatest(today.known_at, usual.known_at, previous.known_at, coalesce(atr.known_at, previous.known_at)) as known_at
    from today
    semi join universe on today.as_of_ts = universe.as_of_ts and today.instrument_id = universe.instrument_id
    inner join usual
        on
            today.as_of_ts = usual.as_of_ts
            and today.instrument_id = usual.instrument_id
            and usual.usual_sum > 0
    inner join previous on today.as_of_ts = previous.as_of_ts and today.instrument_id = previous.instrument_id
    left join atr on today.as_of_ts = atr.as_of_ts and today.instrument_id = atr.instrument_id
    anti join breaks on today.as_of_ts = breaks.as_of_ts and today.instrument_id = breaks.instrument_id

),
{%- endmacro %}
