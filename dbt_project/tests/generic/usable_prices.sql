{#- Signals whose entry, stop or target no order could bear: not above zero, on the wrong side of the entry, or a stop within 0.1 % of it. -#}
{% test usable_prices(model) %}
with

signals as (

    select
        *,
        if(signal_type = 'BUY', 1, -1) as side,
        cast(round(entry_price * 10000) as hugeint) as entry_units,
        cast(round(target_price * 10000) as hugeint) as target_units,
        cast(round(stop_loss * 10000) as hugeint) as stop_units
    from {{ model }}
    where signal_type in ('BUY', 'SELL')

)

select *
from signals
where
    coalesce(entry_units <= 0, true)
    or least(target_units, stop_units) <= 0
    or side * (target_units - entry_units) <= 0
    or side * (entry_units - stop_units) * 1000 <= entry_units
{% endtest %}
