{#- Scanners of the family technical: models/scanners/technical. -#}
{% macro technical_scanners() %}
  {{ return([
    'technical_adx', 'technical_bollinger', 'technical_golden_cross', 'technical_macd', 'technical_rsi', 'technical_supertrend',
  ]) }}
{% endmacro %}
