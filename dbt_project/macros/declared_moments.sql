{#- What scanners declare, as rows (scanner_name, kind, minute_of_day) of a VALUES list: close, every_bar, or clock with HH:MM. -#}
{% macro declared_moments() %}
  {%- set rows = [] -%}
  {%- for scanner in scanner_models() -%}
    {%- for moment in scanner_meta(scanner).moments -%}
      {%- if moment in ('close', 'every_bar') -%}
        {%- do rows.append("('" ~ scanner ~ "', '" ~ moment ~ "', null)") -%}
      {%- else -%}
        {%- set parts = moment.split(':') -%}
        {%- do rows.append("('" ~ scanner ~ "', 'clock', " ~ (parts[0] | int * 60 + parts[1] | int) ~ ")") -%}
      {%- endif -%}
    {%- endfor -%}
  {%- endfor -%}
  {{ return(rows | join(', ') or "(null, null, null)") }}
{% endmacro %}
