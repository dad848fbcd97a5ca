{#-
  A scanner that compares the last price with the extremes of the `sessions` regular sessions before, on volume. Volume is measured
  against 20 regular sessions whatever the look-back. Of these bars up to missing_pct percent may be missing, and of those that the
  level comes from too; extremes and the mean are of those there are, and the row says how many are not.

  Prices are compared as whole ten-thousandths, volumes as whole shares: no tie can turn on a float.
-#}
{% macro breakout_beyond(scanner, sessions) %}
{%- set needed = [sessions, 20] | max %}
with

universe as (

    select * from {{ scan('universe') }}

),

today as (

    select * from {{ scan('day_so_far') }}

),

-- The coarse filter is the one that reads less; it leaves room for the half days and special sessions in between.
bars_prior as (

    select * from {{ scan(
        'bars_prior', where='sessions_ago <= ' ~ (needed + scan_reach() - 252) ~ ' and regular_ago between 1 and ' ~ needed
    ) }}

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
    where regular_ago < {{ sessions }}

),

parameters as (

    {{ scanner_parameters(scanner, numbers=['volume_factor', 'stop_atr', 'target_atr', 'missing_pct']) }}

),

prior as (

    select
        as_of_ts,
        instrument_id,
        cast(round(max(high){{ ' filter (where regular_ago <= ' ~ sessions ~ ')' if sessions < needed }} * 10000) as bigint) as highest,
        cast(round(min(low){{ ' filter (where regular_ago <= ' ~ sessions ~ ')' if sessions < needed }} * 10000) as bigint) as lowest,
        sum(volume){{ ' filter (where regular_ago <= 20)' if needed > 20 }} as volume,
        count(*){{ ' filter (where regular_ago <= 20)' if needed > 20 }} as volume_bars,
        {{ sessions }} - count(*){{ ' filter (where regular_ago <= ' ~ sessions ~ ')' if sessions < needed }} as level_missing,
        {{ needed }} - count(*) as sessions_missing,
        max(known_at) as known_at
    from bars_prior
    group by as_of_ts, instrument_id

),

evaluated as (

    select
        today.* exclude (known_at),
        cast(round(today.last_price * 10000) as bigint) as last_units,
        prior.highest,
        prior.lowest,
        prior.volume as prior_volume,
        prior.volume_bars as bars,
        prior.sessions_missing,
        atr.atr_14,
        parameters.*,
        greatest(today.known_at, prior.known_at, coalesce(atr.known_at, prior.known_at)) as known_at
    from today
    inner join universe on today.as_of_ts = universe.as_of_ts and today.instrument_id = universe.instrument_id
    inner join prior on today.as_of_ts = prior.as_of_ts and today.instrument_id = prior.instrument_id
    left join atr on today.as_of_ts = atr.as_of_ts and today.instrument_id = atr.instrument_id
    anti join breaks on today.as_of_ts = breaks.as_of_ts and today.instrument_id = breaks.instrument_id
    cross join parameters
    where
        prior.volume_bars > 0
        and prior.sessions_missing * 100000 <= cast(round(parameters.missing_pct * 1000) as bigint) * {{ needed }}
        and prior.level_missing * 100000 <= cast(round(parameters.missing_pct * 1000) as bigint) * {{ sessions }}

),

decided as (

    select
        *,
        case
            when cast(volume as hugeint) * bars * 1000 <= cast(round(volume_factor * 1000) as bigint) * prior_volume then 0
            when last_units > highest then 1
            when last_units < lowest then -1
            else 0
        end as side
    from evaluated

),

measured as (

    select
        *,
        last_price as entry_price,
        last_price + side * target_atr * atr_14 as target_price,
        last_price - side * stop_atr * atr_14 as stop_loss,
        case side when 1 then highest when -1 then lowest end / 10000.0::double as level,
        cast(volume * bars as double) / nullif(prior_volume, 0) as volume_ratio
    from decided

),

scored as (

    select
        *,
        side * (last_units / 10000.0::double - level) / nullif(atr_14, 0) as distance_atr,
        least(greatest(coalesce(volume_ratio / nullif(volume_factor, 0) - 1, 1), 0), 1) as volume_score
    from measured

),

final as (

    select
        *,
        0.5 * volume_score + 0.5 * least(coalesce(distance_atr, 0.0::double), 1) as score
    from scored

),

signals as (

    {{ signal_rows('final', timeframe='1d', missing='sessions_missing', details={
        'level': 'level',
        'volume': 'cast(volume as bigint)',
        'volume_ratio': 'round(volume_ratio, 6)',
        'sessions_missing': 'cast(sessions_missing as bigint)',
        'atr_14': 'round(atr_14, 6)',
        'distance_atr': 'round(distance_atr, 6)',
        'volume_score': 'round(volume_score, 6)',
    }) }}

)

select * from signals
{% endmacro %}
