{#- How many sessions back `scan` relations reach: 252 regular ones and the half days and special sessions between them. -#}
{% macro scan_reach() %}
  {{ return(264) }}
{% endmacro %}
