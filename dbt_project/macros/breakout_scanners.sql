{#- Scanners of the family breakout: models/scanners/breakout. -#}
{% macro breakout_scanners() %}
  {{ return(['breakout_20d']) }}
{% endmacro %}
