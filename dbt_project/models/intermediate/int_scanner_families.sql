with

families (scanner_name, family) as (

    values
        {%- for scanner in scanner_models() %}
        ('{{ scanner }}', '{{ scanner_meta(scanner).family }}'){{ ',' if not loop.last }}
        {%- endfor %}

)

select * from families
