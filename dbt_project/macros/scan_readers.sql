{#- The scanners that read a relation of schema `scan`, as a list in SQL: what is dear is made for their moments alone. -#}
{% macro scan_readers(name) -%}
  {%- set found = [] -%}
  {%- if execute -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and 'scanners' in node.fqn[1:-1] -%}
      {%- for key in node.depends_on.nodes if key.split('.')[-1] == name -%}
        {%- do found.append(node.name) -%}
      {%- endfor -%}
    {%- endfor -%}
  {%- endif -%}
  cast({{ found | sort }} as varchar[])
{%- endmacro %}
