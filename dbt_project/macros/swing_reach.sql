{#- How many sessions back scan.swing_points knows what was confirmed: 120 regular ones, as far as any scanner looks, and those between. -#}
{% macro swing_reach() %}
  {{ return(132) }}
{% endmacro %}
