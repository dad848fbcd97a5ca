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

-- Scanners that do without any session of their look-back say how many were missing; the others need not have the column.
optional as (

    select cast(null as bigint) as sessions_missing
    where false

),

combined as (

    {% for scanner in scanner_models() -%}
    select * from {{ scanner }}
    union all by name
    {% endfor %}
    select * from optional

),

issued as (

    {{ issued_signals('combined') }}

)

select * from issued
