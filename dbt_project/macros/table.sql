{#-
  A table of a build, made under its own name by one statement. A build database starts empty and nobody reads it before the build is
  over, so nothing has to be made beside an older version and renamed; grants, indexes and comments are not supported.

  dbt holds a contract by planning a model's query once more than it runs it, and planning is most of a night's work. Here what was
  made is described instead (is_as_declared). What differs goes dbt's way, which names the difference, or brings the columns into the
  declared order.
-#}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
  {%- set target_relation = this.incorporate(type='table') -%}
  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}
  {{ drop_relation_if_exists(load_cached_relation(this)) }}
  {% call statement('main', language=model['language']) -%}
    {%- if model['language'] == 'sql' -%}
      create table {{ target_relation }} as (
        {{ compiled_code }}
      )
    {%- else -%}
      {{ create_table_as(False, target_relation, compiled_code, model['language']) }}
    {%- endif -%}
  {%- endcall %}
  {% if model['language'] == 'sql' and not is_as_declared(target_relation) %}
    {% do adapter.drop_relation(target_relation) %}
    {% call statement('as_declared') -%}
      {{ create_table_as(False, target_relation, compiled_code, 'sql') }}
    {%- endcall %}
  {% endif %}
  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {{ adapter.commit() }}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
