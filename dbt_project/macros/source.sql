{#- See ref.sql: no database name in compiled texts. -#}
{% macro source() %}
  {{ return(builtins.source(*varargs, **kwargs).include(database=false)) }}
{% endmacro %}
