{#- 1 … 252: how many sessions back `scan` relations reach, about a year. -#}
{% macro session_offsets() -%}
    select unnest(generate_series(1, {{ scan_reach() }})) as sessions_ago
{%- endmacro %}

{% macro scan_reach() %}
  {{ return(252) }}
{% endmacro %}
