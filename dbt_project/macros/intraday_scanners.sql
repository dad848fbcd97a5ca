{#- Scanners of the family intraday: models/scanners/intraday. -#}
{% macro intraday_scanners() %}
  {{ return(['crp', 'relative_volume']) }}
{% endmacro %}
