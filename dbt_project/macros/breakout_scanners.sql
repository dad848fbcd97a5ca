{#- Scanners of the family breakout: models/scanners/breakout. -#}
{% macro breakout_scanners() %}
  {{ return([
    'breakout_20d', 'breakout_52w', 'breakout_55d', 'breakout_previous_day', 'opening_range_15', 'opening_range_30',
  ]) }}
{% endmacro %}
