{#-
  A relation of schema `scan`, the only ones that a scanner may read, at the scanner's own moments. Registers the dependency like
  ref(). Moments for which no scanners are named are everybody's.

  where: rows that the scanner is given (SQL over the relation's columns; all by default). What is not given has no part in known_at of
  what the scanner finds, see `known_of_inputs`.
-#}
{% macro scan(name, where='true') %}
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
  {%- set given -%}
    (select * exclude (scanners) from {{ ref(name) }} where (scanners is null or list_contains(scanners, '{{ model.name }}')) and ({{ where }}))
  {%- endset -%}
  {%- do model.setdefault('scan_given', []).append((name, given)) -%}
  {{ return(given) }}
{% endmacro %}
