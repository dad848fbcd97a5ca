{%- set overrides = var('scanner_params', {}) -%}
{%- set rows = [] -%}
{%- for scanner in scanner_models() -%}
  {%- set declared = scanner_meta(scanner).parameters -%}
  {%- for name in overrides.get(scanner, {}) if execute and name not in declared -%}
    {{ exceptions.raise_compiler_error("scanner_params: " ~ scanner ~ " has no parameter " ~ name ~ "; it has " ~ declared | join(', ')) }}
  {%- endfor -%}
  {%- for name, about in declared.items() -%}
    {%- do rows.append((scanner, name, overrides.get(scanner, {}).get(name, about.default))) -%}
  {%- endfor -%}
{%- endfor -%}

with

declared(scanner_name, name, value) as (

    values
        {%- for scanner, name, value in rows %}
        ('{{ scanner }}', '{{ name }}', cast({{ value }} as double)){{ ',' if not loop.last }}
        {%- else %}
        (null, null, null)
        {%- endfor %}

)

select * from declared
where scanner_name is not null
