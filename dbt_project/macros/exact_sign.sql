{#-
  On which side of nothing a difference of indicators lies: -1, 0 or 1, judged in whole ten-millionths. Lines that are equal but for
  the rounding of floats have no side; the smallest true difference of two means of prices (a ten-thousandth over 200 sessions) has.
-#}
{% macro exact_sign(difference) -%}
    sign(cast(round(cast({{ difference }} as double) * 10000000) as bigint))
{%- endmacro %}
