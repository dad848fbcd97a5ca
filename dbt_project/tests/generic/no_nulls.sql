{#- Rows in which any of the columns is missing: one pass for all of them. -#}
{% test no_nulls(model, columns) %}
select *
from {{ model }}
where {{ columns | join(' is null or ') }} is null
{% endtest %}
