{#- Scanners of the family pattern: models/scanners/pattern. -#}
{% macro pattern_scanners() %}
  {{ return([]) }}
{% endmacro %}
