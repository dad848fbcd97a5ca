{#- Scanners that an installation adds (rule file, packages); the project assembled for it has another text here. -#}
{% macro added_scanners() %}
  {{ return([]) }}
{% endmacro %}
