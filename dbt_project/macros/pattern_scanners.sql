{#- Scanners of the family pattern: models/scanners/pattern. -#}
{% macro pattern_scanners() %}
  {{ return(['candlestick_continuation', 'candlestick_reversal', 'narrow_range', 'support_resistance', 'swing_structure']) }}
{% endmacro %}
