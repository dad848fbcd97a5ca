{#- Scanners of the family intraday: models/scanners/intraday. -#}
{% macro intraday_scanners() %}
  {{ return([]) }}
{% endmacro %}
