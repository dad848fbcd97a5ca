{#-
  See ref.sql: no database name in compiled texts. In target dev, which opens a database that may never have been prepared, a command
  that reads rows gets this message; a nightly run (target build) prepares its own.
-#}
{% macro source() %}
  {%- set relation = builtins.source(*varargs, **kwargs) -%}
  {%- if execute and target.name == 'dev' and flags.WHICH not in ['parse', 'list', 'compile', 'generate'] -%}
    {%- if not adapter.get_relation(relation.database, relation.schema, relation.identifier) -%}
      {{ exceptions.raise_compiler_error(
        "the database " ~ target.path ~ " has no table " ~ relation.schema ~ "." ~ relation.identifier
        ~ ": make it from the latest release with `marketlake dbt --prepare`, run in the home"
      ) }}
    {%- endif -%}
  {%- endif -%}
  {{ return(relation.include(database=false)) }}
{% endmacro %}
