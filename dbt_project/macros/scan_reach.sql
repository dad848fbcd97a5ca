{#- How many sessions back `scan` relations reach: about a year. -#}
{% macro scan_reach() %}
  {{ return(252) }}
{% endmacro %}
