{%- set overrides = var('scanner_params', {}) -%}
{%- set rows = [] -%}
{%- for scanner in scanner_models() -%}
  {%- set declared = scanner_meta(scanner).parameters -%}
  {%- for name in overrides.get(scanner, {}) if execute and name not in declared -%}
    {{ exceptions.raise_compiler_error("scanner_params: " ~ scanner ~ " has no parameter " ~ name ~ "; it has " ~ declared | join(', ')) }}
  {%- endfor -%}
  {%- for name, about in declared.items() -%}
    {%- set given = overrides.get(scanner, {}).get(name, about.default) -%}
    {%- if about.choices -%}
      {%- if given not in about.choices -%}
        {{ exceptions.raise_compiler_error(scanner ~ ": " ~ name ~ " = " ~ given ~ " is none of " ~ about.choices | join(', ')) }}
      {%- endif -%}
      {%- do rows.append((scanner, name, "null", "'" ~ given ~ "'")) -%}
    {%- else -%}
      {%- do rows.append((scanner, name, given, "null")) -%}
    {%- endif -%}
  {%- endfor -%}
{%- endfor -%}

with

declared (scanner_name, name, value, choice) as (

    values
        {%- for scanner, name, value, choice in rows %}
        ('{{ scanner }}', '{{ name }}', cast({{ value }} as double), cast({{ choice }} as varchar)){{ ',' if not loop.last }}
        {%- else %}
        (null, null, null, null)
        {%- endfor %}

)

select * from declared
where scanner_name is not null
