"""Technical indicators: their registry, their numba kernels and the engine that runs them over arrays of bars.

Here: what an indicator is (`model`), the built-in ones (`builtin`), the ordered list of all (`registry`), the parameters
that a column's name leaves out (`parameters`), the compiled kernels (`kernels`) and the engine that carries state from
run to run (`engine`).

Not here: reading or writing tables, dbt, corporate-action look-up, scanner conditions. The engine sees arrays and factors.
"""
