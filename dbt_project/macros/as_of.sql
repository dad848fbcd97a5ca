{#-
  A lake table as it was known at a moment: `as_of('bars_daily', "timestamptz '2024-03-01 18:30+05:30'")`, to be used like ref().
  Rows that had arrived by then, and those replaced only later; for tables that keep replaced rows.
-#}
{% macro as_of(relation, moment) -%}
  {%- set kept = ['bars_daily', 'bars_1m', 'corporate_actions', 'instruments'] -%}
  {%- if relation not in kept -%}
    {{ exceptions.raise_compiler_error("as_of('" ~ relation ~ "'): no replaced rows are kept of it; known are " ~ kept | join(', ')) }}
  {%- endif -%}
  (
    select * from {{ source('lake', relation) }}
    where known_at <= {{ moment }}
    union all by name
    select * exclude (superseded_at, superseded_by_batch) from {{ source('lake', relation ~ '_superseded') }}
    where known_at <= {{ moment }} and superseded_at > {{ moment }}
  )
{%- endmacro %}
