{#-
  When what a scanner looked at was known: per evaluation time (input_as_of_ts) and instrument (input_instrument_id) the greatest
  known_at of the rows that `scan()` has given the model so far. `wanted` has the keys that are asked for, as_of_ts and instrument_id.
  What the scanner itself says has no part in it.

  A scanner of scope `universe` compares instruments with one another: there it is the greatest of all instruments' rows.
-#}
{% macro known_of_inputs(wanted) %}
  {%- set undated = ['moments', 'universe', 'unadjusted_actions'] -%}
  {#- In a unit test of dbt's the model is the test, which declares nothing. -#}
  {%- set declared = model.get('config', {}).get('meta', {}).get('scanner', {}) -%}
  {%- set is_alone = declared.get('scope', 'instrument') == 'instrument' -%}
  {%- set given = model.get('scan_given', []) | rejectattr(0, 'in', undated) | map(attribute=1) | unique | list -%}
    select
        as_of_ts as input_as_of_ts,
        instrument_id as input_instrument_id,
        max(known_at) as input_known_at
    from (
        {%- for rows in given %}
        select
            wanted.as_of_ts,
            wanted.instrument_id,
            given.known_at
        from {{ wanted }} as wanted
        inner join {{ rows }} as given
            on wanted.as_of_ts = given.as_of_ts{{ ' and wanted.instrument_id = given.instrument_id' if is_alone }}
        {{ 'union all' if not loop.last }}
        {%- else %}
        select
            as_of_ts,
            instrument_id,
            as_of_ts as known_at
        from {{ wanted }}
        {%- endfor %}
    )
    group by as_of_ts, instrument_id
{%- endmacro %}
