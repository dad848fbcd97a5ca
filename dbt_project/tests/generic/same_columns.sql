{#-
  Columns in which a model and a lake table differ, by name or type: the contract of tables that plug-ins and chosen indicators widen.
  The lake table is named without source(): dbt takes up a test with any of its parents, and `-s +technical_rsi`, which reads the
  table and does not build the model, would compare the table with nothing.
-#}
{% test same_columns(model, table_name) %}
with

made as (

    select column_name, data_type
    from information_schema.columns
    where table_schema = '{{ model.schema }}' and table_name = '{{ model.identifier }}'

),

expected as (

    select column_name, data_type
    from information_schema.columns
    where table_schema = 'lake' and table_name = '{{ table_name }}'

)

select
    coalesce(made.column_name, expected.column_name) as column_name,
    made.data_type as made_type,
    expected.data_type as expected_type
from made
full join expected on made.column_name = expected.column_name
where made.data_type is distinct from expected.data_type
{% endtest %}
