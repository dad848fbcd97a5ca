{#-
  The prices of a signal, for every scanner alike: built in, a rule of a file, of a package, in SQL or in Python.

  From a relation of scanner rows (signal_type, entry_price, target_price, stop_loss, confidence_score, details, …) the same rows with
  `refused_for` besides. A signal is refused, and becomes HOLD, when its entry is no price above zero (`no_entry_price`), when its
  stop lies on the winning side of the entry (`stop_on_wrong_side`) or within 0.1 % of it (`stop_at_entry`): it would be stopped out
  by the next trade, and nothing can be sized or measured by such a risk. A signal keeps no target that lies at or below zero or
  not beyond its entry, and no stop at or below zero: a price cannot get there.

  Prices are compared as whole ten-thousandths; what is no number compares as absent.
-#}
{% macro issued_signals(relation) %}
    select
        * exclude (side, entry_units, target_units, stop_units)
        replace (
            if(refused_for is null, signal_type, 'HOLD') as signal_type,
            case
                when refused_for is null and target_units > 0 and side * (target_units - entry_units) > 0 then target_price
            end as target_price,
            case when refused_for is null and side <> 0 and stop_units > 0 then stop_loss end as stop_loss,
            if(refused_for is null, confidence_score, 0.0::double) as confidence_score,
            if(refused_for is null, details, '{}') as details
        )
    from (
        select
            *,
            case
                when side = 0 then null
                when not coalesce(entry_units > 0, false) then 'no_entry_price'
                when stop_units is null or (side = 1 and stop_units <= 0) then null
                when side * (entry_units - stop_units) < 0 then 'stop_on_wrong_side'
                when side * (entry_units - stop_units) * 1000 <= entry_units then 'stop_at_entry'
            end as refused_for
        from (
            select
                *,
                case signal_type when 'BUY' then 1 when 'SELL' then -1 else 0 end as side,
                try_cast(round(entry_price * 10000) as hugeint) as entry_units,
                try_cast(round(target_price * 10000) as hugeint) as target_units,
                try_cast(round(stop_loss * 10000) as hugeint) as stop_units
            from {{ relation }}
        )
    )
{%- endmacro %}
