"""From chosen parameters to an indicator: look-back, warm-up, state and columns of each family, as functions of its windows.

Formulas, sources and bounds are those of the contract's indicator of the same kind.

Not here: which parameters a family has and their bounds (`families`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from pipelines.indicators.builtin import INDICATORS
from pipelines.indicators.model import Indicator, StateField, StateUnit

Values = Mapping[str, float]

_KERNELS = "pipelines.indicators.kernels.custom_"
_BUILTIN = {indicator.name: indicator for indicator in INDICATORS}
_OUTPUTS = {output.name: output for indicator in INDICATORS for output in indicator.outputs}


def _build(
    kernel: str,
    like: str,
    values: Values,
    suffix: str,
    columns: Mapping[str, tuple[str, str]],
    *,
    lookback: float,
    warm_up: float,
    state: tuple[tuple[str, StateUnit], ...] = (),
    options: tuple[float, ...] = (),
) -> Indicator:
    """Put an indicator together. `columns`: name without suffix → (the contract's column it is like, its description)."""
    base = _BUILTIN[like]
    function = kernel.split(":")[1]
    outputs = tuple(replace(_OUTPUTS[model], name=name + suffix, description=text) for name, (model, text) in columns.items())
    return Indicator(
        name=f"{function}{suffix}" if function != "atr" else outputs[0].name,
        kernel=_KERNELS + kernel,
        inputs=base.inputs,
        parameters=dict(values),
        outputs=outputs,
        lookback=int(lookback),
        warm_up=int(warm_up),
        formula=f"as {like}, with {', '.join(f'{name} {value:g}' for name, value in values.items())}: {base.formula}",
        source=base.source,
        state_fields=tuple(StateField(f"{outputs[0].name}__{name}", unit) for name, unit in state),
        options=options or tuple(values.values()),
    )


def _of_window(
    function: str, like: str, model: str, text: str, lookback: Callable[[float], float], warm_up: Callable[[float], float]
) -> Callable[[Values, str], Indicator]:
    """A maker of a family without carried state that has one window and one column."""

    def make(values: Values, suffix: str) -> Indicator:
        n = values["window"]
        name = function.split(":")[1]
        column = {name: (model, text.format(n=f"{n:g}"))}
        return _build(function, like, values, suffix, column, lookback=lookback(n), warm_up=warm_up(n))

    return make


sma = _of_window("averages:sma", "sma", "sma_20", "Simple mean of the last {n} closes.", lambda n: n - 1, lambda n: n)
wma = _of_window("averages:wma", "wma", "wma_20", "Mean of the last {n} closes, weighted 1 … {n}.", lambda n: n - 1, lambda n: n)
willr = _of_window("momentum:willr", "willr", "willr_14", "Williams %R of {n} bars.", lambda n: n - 1, lambda n: n)
cci = _of_window("momentum:cci", "cci", "cci_20", "Commodity channel index of {n} bars.", lambda n: n - 1, lambda n: n)
roc = _of_window("momentum:roc", "roc", "roc_10", "Change of the close over {n} bars.", lambda n: n, lambda n: n + 1)
mfi = _of_window("momentum:mfi", "mfi", "mfi_14", "Money flow index of {n} bars.", lambda n: n, lambda n: n + 1)


def ema(values: Values, suffix: str) -> Indicator:
    """Exponential mean; carries its value."""
    n = values["window"]
    columns = {"ema": ("ema_20", f"Exponential mean of the close, weight 2/{n + 1:g}.")}
    return _build("averages:ema", "ema", values, suffix, columns, lookback=0, warm_up=n, state=(("mean", "price"),))


def macd(values: Values, suffix: str) -> Indicator:
    """Line, signal and histogram; carries three exponential means."""
    fast, slow, signal = values["fast"], values["slow"], values["signal"]
    columns = {
        "macd": ("macd", f"EMA {fast:g} of the close less EMA {slow:g}."),
        "macd_signal": ("macd_signal", f"EMA {signal:g} of the line."),
        "macd_hist": ("macd_hist", "Line less signal."),
    }
    state: tuple[tuple[str, StateUnit], ...] = (("fast", "price"), ("slow", "price"), ("signal", "price"))
    return _build("averages:macd", "macd", values, suffix, columns, lookback=0, warm_up=slow + signal - 1, state=state)


def trix(values: Values, suffix: str) -> Indicator:
    """Change of the triple exponential mean; carries the three."""
    n = values["window"]
    columns = {"trix": ("trix_15", f"One-bar change of the triple EMA {n:g} of the close.")}
    state: tuple[tuple[str, StateUnit], ...] = (("one", "price"), ("two", "price"), ("three", "price"))
    return _build("averages:trix", "trix", values, suffix, columns, lookback=0, warm_up=3 * (n - 1) + 2, state=state)


_MEANS: tuple[tuple[str, StateUnit], ...] = (("gain", "price"), ("loss", "price"))


def rsi(values: Values, suffix: str) -> Indicator:
    """Relative strength; carries Wilder's means of gains and losses."""
    n = values["window"]
    columns = {"rsi": ("rsi_14", f"Relative strength of {n:g} bars: gains' share of gains and losses; 0 where neither.")}
    return _build("momentum:rsi", "rsi", values, suffix, columns, lookback=1, warm_up=n + 1, state=_MEANS)


def cmo(values: Values, suffix: str) -> Indicator:
    """Chande momentum; carries Wilder's means of gains and losses."""
    n = values["window"]
    columns = {"cmo": ("cmo_14", f"Chande momentum of Wilder means of {n:g} bars; 0 where neither gains nor losses.")}
    return _build("momentum:cmo", "rsi", values, suffix, columns, lookback=1, warm_up=n + 1, state=_MEANS)


def stoch_rsi(values: Values, suffix: str) -> Indicator:
    """Stochastic of the RSI; carries the means and the RSI values that the next bar still needs."""
    n, smooth = int(values["window"]), int(values["smooth"])
    lags = n + smooth - 2
    columns = {"stoch_rsi": ("stoch_rsi_14", f"%K (SMA {smooth}) of the RSI {n} within its last {n} values.")}
    lagged: tuple[tuple[str, StateUnit], ...] = tuple((f"lag_{k}", "ratio") for k in range(lags, 0, -1))
    return _build("momentum:stoch_rsi", "rsi", values, suffix, columns, lookback=1, warm_up=n + lags + 1, state=(*_MEANS, *lagged))


def stochastics(values: Values, suffix: str) -> Indicator:
    """Slow %K and %D."""
    n, k, d = values["window"], values["smooth_k"], values["smooth_d"]
    columns = {
        "stoch_k": ("stoch_k", f"Slow %K: SMA {k:g} of the close's place in the range of {n:g} bars."),
        "stoch_d": ("stoch_d", f"Slow %D: SMA {d:g} of %K."),
    }
    bars = n + k + d - 2
    return _build("momentum:stochastics", "stochastics", values, suffix, columns, lookback=bars - 1, warm_up=bars)


def atr(values: Values, suffix: str) -> Indicator:
    """Wilder's mean of the true range; carries it."""
    n = values["window"]
    columns = {"atr": ("atr_14", f"Wilder's mean of the true range, {n:g} bars.")}
    return _range(values, suffix, columns, percent=0)


def natr(values: Values, suffix: str) -> Indicator:
    """The same as part of the close."""
    n = values["window"]
    columns = {"natr": ("natr_14", f"Wilder's mean of the true range, {n:g} bars, as part of the close; 0 where the close is 0.")}
    return _range(values, suffix, columns, percent=1)


def _range(values: Values, suffix: str, columns: Mapping[str, tuple[str, str]], *, percent: int) -> Indicator:
    n = values["window"]
    return _build(
        "trend:atr",
        "atr",
        values,
        suffix,
        columns,
        lookback=1,
        warm_up=n + 1,
        state=(("mean", "price"),),
        options=(n, percent),
    )


def adx(values: Values, suffix: str) -> Indicator:
    """ADX and both directional lines; carries Wilder's three sums and the ADX."""
    n = values["window"]
    columns = {
        "adx": ("adx_14", f"Wilder's mean, {n:g} bars, of the distance of the two directional lines."),
        "plus_di": ("plus_di_14", f"Upward directional movement in the true range, {n:g} bars."),
        "minus_di": ("minus_di_14", f"Downward directional movement in the true range, {n:g} bars."),
    }
    state: tuple[tuple[str, StateUnit], ...] = (("spread", "price"), ("plus", "price"), ("minus", "price"), ("adx", "ratio"))
    return _build("trend:adx", "adx", values, suffix, columns, lookback=1, warm_up=n + 1, state=state)


def aroon(values: Values, suffix: str) -> Indicator:
    """Aroon up and down."""
    n = values["window"]
    columns = {
        "aroon_up": ("aroon_up_25", f"How recent the highest high of {n + 1:g} bars is: 100 this bar, 0 {n:g} bars ago."),
        "aroon_down": ("aroon_down_25", f"How recent the lowest low of {n + 1:g} bars is: 100 this bar, 0 {n:g} bars ago."),
    }
    return _build("trend:aroon", "aroon", values, suffix, columns, lookback=n, warm_up=n + 1)


def bollinger(values: Values, suffix: str) -> Indicator:
    """Mean ± deviations."""
    n, width = values["window"], values["deviations"]
    columns = {
        "bb_upper": ("bb_upper_20", f"Mean of {n:g} closes plus {width:g} population standard deviations."),
        "bb_middle": ("bb_middle_20", f"Mean of {n:g} closes."),
        "bb_lower": ("bb_lower_20", f"Mean of {n:g} closes less {width:g} population standard deviations."),
    }
    return _build("trend:bollinger", "bollinger", values, suffix, columns, lookback=n - 1, warm_up=n)


def keltner(values: Values, suffix: str) -> Indicator:
    """Exponential mean ± multiples of the ATR; carries both."""
    n, m, width = values["window"], values["atr_window"], values["multiplier"]
    columns = {
        "keltner_upper": ("keltner_upper_20", f"EMA {n:g} of the close plus {width:g} × Wilder's ATR {m:g}."),
        "keltner_lower": ("keltner_lower_20", f"EMA {n:g} of the close less {width:g} × Wilder's ATR {m:g}."),
    }
    state: tuple[tuple[str, StateUnit], ...] = (("mean", "price"), ("atr", "price"))
    return _build("trend:keltner", "keltner", values, suffix, columns, lookback=1, warm_up=max(n, m + 1), state=state)


def donchian(values: Values, suffix: str) -> Indicator:
    """Extremes of the bars before."""
    n = values["window"]
    columns = {
        "donchian_upper": ("donchian_upper_20", f"Highest high of the {n:g} bars before this one."),
        "donchian_lower": ("donchian_lower_20", f"Lowest low of the {n:g} bars before this one."),
    }
    return _build("trend:donchian", "donchian", values, suffix, columns, lookback=n, warm_up=n + 1)


def supertrend(values: Values, suffix: str) -> Indicator:
    """The trailing line and its side; carries ATR, both bands and the side."""
    n, width = values["window"], values["multiplier"]
    columns = {
        "supertrend": ("supertrend_10", f"Trailing line {width:g} × Wilder's ATR {n:g} from the bar's middle."),
        "supertrend_direction": ("supertrend_direction_10", "+1 while the line supports the price, −1 while it caps it."),
    }
    state: tuple[tuple[str, StateUnit], ...] = (("atr", "price"), ("upper", "price"), ("lower", "price"), ("direction", "ratio"))
    return _build("trend:supertrend", "supertrend", values, suffix, columns, lookback=1, warm_up=n + 1, state=state)


def psar(values: Values, suffix: str) -> Indicator:
    """Parabolic stop; carries side, stop, extreme and speed."""
    columns = {"psar": ("psar", f"Parabolic stop-and-reverse, step {values['step']:g}, limit {values['limit']:g}.")}
    state: tuple[tuple[str, StateUnit], ...] = (("side", "ratio"), ("sar", "price"), ("extreme", "price"), ("speed", "ratio"))
    return _build("trend:psar", "psar", values, suffix, columns, lookback=1, warm_up=2, state=state)


def ichimoku(values: Values, suffix: str) -> Indicator:
    """Middles of three ranges; the spans as drawn at the bar."""
    tenkan, kijun, span_b = values["tenkan"], values["kijun"], values["span_b"]
    columns = {
        "ichimoku_tenkan": ("ichimoku_tenkan", f"Middle of the range of {tenkan:g} bars."),
        "ichimoku_kijun": ("ichimoku_kijun", f"Middle of the range of {kijun:g} bars."),
        "ichimoku_span_a": ("ichimoku_span_a", f"Middle of both of {kijun:g} bars before, as drawn at this bar."),
        "ichimoku_span_b": ("ichimoku_span_b", f"Middle of the range of {span_b:g} bars as it was {kijun:g} bars before."),
    }
    lookback = kijun + max(tenkan, kijun, span_b) - 1
    return _build("trend:ichimoku", "ichimoku", values, suffix, columns, lookback=lookback, warm_up=min(tenkan, kijun))
