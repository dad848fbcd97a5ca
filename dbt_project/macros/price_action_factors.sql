{#-
  What a corporate action multiplies prices by and divides volumes by. A split's ratio counts new shares per old share; a demerger's
  or rights line's ratio is the price after over the price before. Without a usable ratio both are NULL.
-#}
{% macro price_action_factors() -%}
case
            when ratio > 0 and action in ('split', 'bonus', 'capital_reduction') then 1.0::double / ratio
            when ratio > 0 then ratio
        end as price_factor,
        case
            when ratio > 0 and action in ('split', 'bonus', 'capital_reduction') then 1.0::double / ratio
            when ratio > 0 then 1.0::double
        end as volume_divisor
{%- endmacro %}
