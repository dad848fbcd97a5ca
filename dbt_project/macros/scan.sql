{#-
  A relation of schema `scan`, the only ones that a scanner may read, at the scanner's own moments. Registers the dependency like
  ref(). Moments for which no scanners are named are everybody's.
-#}
{% macro scan(name) %}
  {%- set known = [
    'moments', 'universe', 'day_so_far', 'intraday_so_far', 'bars_today', 'bars_prior', 'bars_closed', 'indicators_prior',
    'indicators_closed', 'volume_profile', 'regime', 'opening_ranges', 'unadjusted_actions', 'candles', 'swing_points', 'params',
  ] -%}
  {%- if name not in known -%}
    {{ exceptions.raise_compiler_error("scan('" ~ name ~ "'): no such relation; scanners may read " ~ known | join(', ')) }}
  {%- endif -%}
  {%- if name == 'params' -%}
    {{ return(ref(name)) }}
  {%- endif -%}
  {#- The filter on a column that every relation passes on reaches the moments before anything is joined to them. -#}
  {{ return(
    '(select * exclude (scanners) from ' ~ ref(name)
    ~ " where scanners is null or list_contains(scanners, '" ~ model.name ~ "'))"
  ) }}
{% endmacro %}
