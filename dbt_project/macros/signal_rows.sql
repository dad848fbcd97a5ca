{#-
  The columns that every scanner gives back, from a relation with: exchange, session_date, instrument_id, symbol, as_of_ts, side
  (1 buy, -1 sell, anything else nothing), entry_price, target_price, stop_loss, score, and what `details` names (JSON key: SQL
  expression). `missing`, where a scanner does without some sessions of its look-back: the column that counts them. known_at of a
  signal follows from what `scan()` gave the scanner, whatever the relation says.

  What prices a signal may have is decided for all scanners in issued_signals.
-#}
{% macro signal_rows(relation, timeframe, details, missing=none) %}
    select
        exchange,
        instrument_id,
        symbol,
        session_date,
        as_of_ts as ts,
        '{{ timeframe }}' as timeframe,
        case side when 1 then 'BUY' when -1 then 'SELL' else 'HOLD' end as signal_type,
        cast(entry_price as double) as entry_price,
        case when side in (1, -1) then round(cast(target_price as double), 4) end as target_price,
        case when side in (1, -1) then round(cast(stop_loss as double), 4) end as stop_loss,
        case
            when side in (1, -1) then round(least(greatest(coalesce(cast(score as double), 0.0), 0.0), 1.0), 6)
            else 0.0::double
        end as confidence_score,
        case
            when side in (1, -1) then cast(
                json_object(
                    {%- for key, expression in details.items() %}
                    '{{ key }}', {{ expression }}{{ ',' if not loop.last }}
                    {%- endfor %}
                ) as varchar
            )
            else '{}'
        end as details,
        greatest(as_of_ts, input_known_at) as known_at
        {%- if missing %},
        cast({{ missing }} as bigint) as sessions_missing
        {%- endif %}
    from {{ relation }}
    left join (
        {#- A scan whose inputs were all known by its evaluation times leaves out what stands between these two comments. #}
        /* known_at of inputs */
        {{ known_of_inputs('(select distinct as_of_ts, instrument_id from ' ~ relation ~ ' where side in (1, -1))') }}
        /* end of known_at */
    ) as inputs
        on as_of_ts = inputs.input_as_of_ts and instrument_id = inputs.input_instrument_id
{%- endmacro %}
