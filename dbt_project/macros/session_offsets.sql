{#- One row per session that `scan` relations reach back to: 1 is the previous session. -#}
{% macro session_offsets() -%}
    select unnest(generate_series(1, {{ scan_reach() }})) as sessions_ago
{%- endmacro %}
