with

moments as (

    select * from {{ ref('moments') }}

),

-- A scanner that does not declare the close has nothing to say at it.
before_the_close as (

    select as_of_ts from moments
    where as_of_ts < closes_at

),

{% for scanner in scanner_models() -%}
{{ scanner }} as (

    select
        '{{ scanner }}' as scanner_name,
        cast({{ scanner_meta(scanner).version }} as bigint) as scanner_version,
        *
    from {{ ref(scanner) }}
    {%- if 'close' not in scanner_meta(scanner).moments %}
    where ts in (select before_the_close.as_of_ts from before_the_close)
    {%- endif %}

),

{% endfor -%}

combined as (

    {% for scanner in scanner_models() -%}
    select * from {{ scanner }}
    {{ 'union all by name' if not loop.last }}
    {%- endfor %}

)

select * from combined
