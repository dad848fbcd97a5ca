with

{% for scanner in scanner_models() -%}
{{ scanner }} as (

    select
        '{{ scanner }}' as scanner_name,
        cast({{ scanner_meta(scanner).version }} as bigint) as scanner_version,
        *
    from {{ ref(scanner) }}

),

{% endfor -%}

combined as (

    {% for scanner in scanner_models() -%}
    select * from {{ scanner }}
    {{ 'union all by name' if not loop.last }}
    {% endfor %}

)

select * from combined
