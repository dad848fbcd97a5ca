{#- One row with a column per parameter that the scanner reads: numbers as DOUBLE, choices as VARCHAR. -#}
{% macro scanner_parameters(name, numbers=[], choices=[]) %}
    select
        {%- for parameter in numbers %}
        max(value) filter (where name = '{{ parameter }}') as {{ parameter }},
        {%- endfor %}
        {%- for parameter in choices %}
        max(choice) filter (where name = '{{ parameter }}') as {{ parameter }},
        {%- endfor %}
    from {{ scan('params') }}
    where scanner_name = '{{ name }}'
{%- endmacro %}
