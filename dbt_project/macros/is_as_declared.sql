{#- Whether a relation has the columns that its model declares, in order and of exactly these types; true without a contract. -#}
{% macro is_as_declared(relation) %}
  {%- if not config.get('contract').enforced or not model['columns'] -%}
    {{ return(not config.get('contract').enforced) }}
  {%- endif -%}
  {% call statement('described', fetch_result=True) -%}
    select list([column_name, column_type]) = [
      {%- for column in model['columns'].values() -%}
        ['{{ column['name'] }}', typeof(cast(null as {{ column['data_type'] }}))]{{ ", " if not loop.last }}
      {%- endfor -%}
    ]
    from (describe {{ relation }})
  {%- endcall %}
  {{ return(load_result('described')['data'][0][0]) }}
{% endmacro %}
