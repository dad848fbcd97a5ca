{#-
  Names of all scanner models, family by family. dbt needs to know what the marts depend on before it knows the graph, hence a list;
  compiling fails when it differs from the folder models/scanners.
-#}
{% macro scanner_models() %}
  {%- set listed = breakout_scanners() + intraday_scanners() + technical_scanners() + pattern_scanners() + added_scanners() -%}
  {%- if execute -%}
    {%- set found = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and 'scanners' in node.fqn[1:-1] -%}
      {%- do found.append(node.name) -%}
    {%- endfor -%}
    {%- if found | sort != listed | sort -%}
      {{ exceptions.raise_compiler_error(
        "models/scanners holds " ~ found | sort | join(', ') ~ " but the macros *_scanners list " ~ listed | sort | join(', ')
      ) }}
    {%- endif -%}
  {%- endif -%}
  {{ return(listed) }}
{% endmacro %}
