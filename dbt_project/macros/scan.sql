{#- A relation of schema `scan`, the only ones that a scanner may read. Registers the dependency like ref(). -#}
{% macro scan(name) %}
  {%- set known = ['moments', 'universe', 'bars_today', 'bars_prior', 'indicators_prior', 'volume_profile', 'unadjusted_actions', 'params'] -%}
  {%- if name not in known -%}
    {{ exceptions.raise_compiler_error("scan('" ~ name ~ "'): no such relation; scanners may read " ~ known | join(', ')) }}
  {%- endif -%}
  {{ return(ref(name)) }}
{% endmacro %}
