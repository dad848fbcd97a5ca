{#- `meta.scanner` of a scanner model's yml (version, evaluates, moments, parameters); a stand-in while dbt only parses. -#}
{% macro scanner_meta(name) %}
  {%- if not execute -%}
    {{ return({'version': 0, 'moments': [], 'parameters': {}}) }}
  {%- endif -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == name -%}
    {%- set meta = node.config.meta.get('scanner') -%}
    {%- if not meta -%}
      {{ exceptions.raise_compiler_error("models/scanners/" ~ name ~ ".yml lacks config.meta.scanner") }}
    {%- endif -%}
    {{ return(meta) }}
  {%- endfor -%}
{% endmacro %}
