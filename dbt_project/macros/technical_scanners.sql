{#- Scanners of the family technical: models/scanners/technical. -#}
{% macro technical_scanners() %}
  {{ return([]) }}
{% endmacro %}
