{#-
  The join condition of int_basis_spans with rows of one session that are looked at from another: the span that leads from the price
  basis of `row_date` to that of `moment_date`. No span where both have one basis.
-#}
{% macro basis_between(instrument_id, row_date, moment_date) -%}
            {{ instrument_id }} = spans.instrument_id
            and {{ row_date }} >= spans.bar_from
            and {{ row_date }} < spans.bar_before
            and {{ moment_date }} >= spans.moment_from
            and {{ moment_date }} < spans.moment_before
{%- endmacro %}
