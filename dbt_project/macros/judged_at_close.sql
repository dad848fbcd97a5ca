{#-
  What a scanner of closed sessions found, beside the session's price and the scanner's parameters: only instruments of the universe,
  and none whose prices broke with what was before, by an action of unknown ratio, in the `unsettled` sessions up to this one.
  `found` has as_of_ts, instrument_id, known_at and columns of its own.
-#}
{% macro judged_at_close(found, scanner, unsettled, numbers) %}
    select
        today.* exclude (known_at),
        found.* exclude (as_of_ts, instrument_id, known_at),
        parameters.*,
        today.last_price as entry_price,
        greatest(today.known_at, found.known_at) as known_at
    from {{ scan('day_so_far') }} as today
    inner join {{ scan('universe') }} as universe
        on today.as_of_ts = universe.as_of_ts and today.instrument_id = universe.instrument_id
    inner join {{ found }} as found on today.as_of_ts = found.as_of_ts and today.instrument_id = found.instrument_id
    anti join {{ scan('unadjusted_actions') }} as breaks
        on today.as_of_ts = breaks.as_of_ts and today.instrument_id = breaks.instrument_id and breaks.sessions_ago < {{ unsettled }}
    cross join ({{ scanner_parameters(scanner, numbers=numbers) }}) as parameters
{%- endmacro %}
