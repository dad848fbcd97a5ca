{#- Relations render as schema.name, without the database: the compiled text then runs unchanged in any DuckDB database. -#}
{% macro ref() %}
  {{ return(builtins.ref(*varargs, **kwargs).include(database=false)) }}
{% endmacro %}
