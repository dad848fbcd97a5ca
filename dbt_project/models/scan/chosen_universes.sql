with

declared(scanner_name, universe_name) as (

    values
        {%- for scanner in scanner_models() %}
        ('{{ scanner }}', '{{ scanner_meta(scanner).get('universe', 'all') }}'){{ ',' if not loop.last }}
        {%- else %}
        (null, null)
        {%- endfor %}

)

select * from declared
where scanner_name is not null
