{#-
  Where lines stood as of the session that has just closed, and where they stood last. From a relation with as_of_ts, instrument_id,
  sessions_ago, known_at and for each of `standings` a sign; for each, `NAME` is the sign now and `NAME_before` the last one that was
  not 0: lines that meet and part again on the same side have not crossed, lines that meet and part on the other side cross when they
  part. `latest` are carried over from the session that has just closed, `aggregates` (name: expression) computed over all rows.
  No row without that session, or with nothing before it.
-#}
{% macro crossings(relation, standings, latest=[], aggregates={}) %}
    select
        as_of_ts,
        instrument_id,
        {%- for standing in standings %}
        max({{ standing }}) filter (where sessions_ago = 0) as {{ standing }},
        arg_min({{ standing }}, sessions_ago) filter (where sessions_ago > 0 and {{ standing }} <> 0) as {{ standing }}_before,
        {%- endfor %}
        {%- for column in latest %}
        max({{ column }}) filter (where sessions_ago = 0) as {{ column }},
        {%- endfor %}
        {%- for name, expression in aggregates.items() %}
        {{ expression }} as {{ name }},
        {%- endfor %}
        max(known_at) as known_at
    from {{ relation }}
    group by as_of_ts, instrument_id
    having count(*) filter (where sessions_ago = 0) = 1 and count(*) > 1
{%- endmacro %}
