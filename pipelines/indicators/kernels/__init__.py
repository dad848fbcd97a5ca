"""The compiled kernels: one function per indicator family, all with one signature.

    kernel(frame, span, state, marks, snapshots, out) -> None
    kernel(frame, span, options, state, marks, snapshots, out) -> None    where the indicator declares options

- `frame` float64[rows, capacity]: see `pipelines.indicators.frame`.
- `span` = (first, stop, count, intraday): bars `first … stop-1` of the frame are new, those before are tail. `count` is how
  many bars the instrument had before `first` since its listing; the tail holds at least min(count, look-back) of them.
  `intraday` is 1 for one-minute bars, where OBV and VWAP start anew each session, else 0.
- `options` float64[p]: the parameters of this use of the kernel, as `Indicator.options` gives them.
- `state` float64[k]: the family's carried state, read at the start and left as after bar `stop-1`. All zeros when count is 0.
- `marks` int64[m+1]: frame positions of bars whose state is wanted, ascending, ended by −1.
- `snapshots` float64[m, k]: the state after each marked bar.
- `out` float64[outputs, capacity]: column j of the new bars, from position 0; NaN where not defined yet.

What a kernel gives for a bar depends on that bar, the tail and the state alone, never on where a run was cut. Windows
therefore never slide a running sum across calls (see `rolling`).

Not here: declarations (names, units, warm-up), which live in `builtin` so that they load without numba.
"""
