{#- One row per session that a relation of `scan` reaches back to: 1 is the previous session, 0 the moment's own. -#}
{% macro session_offsets(reach=scan_reach()) -%}
    select unnest(generate_series(0, {{ reach }})) as sessions_ago
{%- endmacro %}
