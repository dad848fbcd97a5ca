{#- One row per session that `scan` relations reach back to: 1 is the previous session, 0 the moment's own. -#}
{% macro session_offsets() -%}
    select unnest(generate_series(0, {{ scan_reach() }})) as sessions_ago
{%- endmacro %}
