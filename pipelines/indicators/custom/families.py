"""What can be chosen: every family of indicators with its parameters, their bounds, and the columns a choice gives.

A column is called like the contract's: the family's name, then the parameters in order, without those at the end that are the
default; a decimal point is written `p` (`bb_upper_50_2p5`).

Not here: reading choices (`file`), kernels (`pipelines.indicators.kernels`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines.indicators import parameters as p
from pipelines.indicators.custom import factories
from pipelines.indicators.model import Indicator
from pipelines.user_files import shown

LONGEST_WINDOW = 1000
"""Bars: the tail that every run reads grows with the longest window."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number to choose: bounds inclusive, `default` None where it must be given, `whole` where it counts bars."""

    name: str
    default: float | None = None
    low: float = 2
    high: float = LONGEST_WINDOW
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of indicator: `make` takes its parameters and the suffix of its columns. `check` says what is wrong, or ''."""

    name: str
    parameters: tuple[Parameter, ...]
    make: Callable[[Mapping[str, float], str], Indicator]
    check: Callable[[Mapping[str, float]], str] = lambda _: ""

    def indicator(self, given: Mapping[str, float]) -> Indicator:
        """The indicator of a choice. Raises ValueError naming the parameter that is unknown, missing or out of bounds."""
        known = {parameter.name: parameter for parameter in self.parameters}
        unknown = [name for name in given if name not in known]
        if unknown:
            raise ValueError(f"{self.name} has no parameter {unknown[0]!r}; it has {', '.join(known)}")
        values: dict[str, float] = {}
        for name, parameter in known.items():
            values[name] = _value(self.name, parameter, given.get(name, parameter.default))
        if problem := self.check(values):
            raise ValueError(f"{self.name}: {problem}")
        return self.make(values, self._suffix(values))

    def _suffix(self, values: Mapping[str, float]) -> str:
        shown = list(zip(values.values(), self.parameters, strict=True))
        while shown and shown[-1][0] == shown[-1][1].default:
            shown.pop()
        return "".join(f"_{value:g}".replace(".", "p") for value, _ in shown)


def _value(family: str, parameter: Parameter, value: object) -> float:
    what = f"{family}: {parameter.name}"
    kind = "a whole number" if parameter.whole else "a number"
    if value is None:
        raise ValueError(f"{what} is missing; give {kind} from {parameter.low:g} to {parameter.high:g}")
    if isinstance(value, bool) or not isinstance(value, int | float) or (parameter.whole and value != int(value)):
        raise ValueError(f"{what} is {shown(value)}; give {kind} from {parameter.low:g} to {parameter.high:g}")
    if not parameter.low <= value <= parameter.high:
        raise ValueError(f"{what} is {value:g}; give {kind} from {parameter.low:g} to {parameter.high:g}")
    return int(value) if parameter.whole else float(value)


def _rising(values: Mapping[str, float]) -> str:
    return "" if values["fast"] < values["slow"] else "fast must be shorter than slow"


def _below_limit(values: Mapping[str, float]) -> str:
    return "" if values["step"] <= values["limit"] else "step must not exceed limit"


_WINDOW = Parameter("window")


def _smooth(name: str, default: float) -> Parameter:
    return Parameter(name, default, low=1, high=100)


def _factor(name: str, default: float) -> Parameter:
    return Parameter(name, default, low=0.1, high=20, whole=False)


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("sma", (_WINDOW,), factories.sma),
        Family("ema", (_WINDOW,), factories.ema),
        Family("wma", (_WINDOW,), factories.wma),
        Family("macd", (Parameter("fast"), Parameter("slow"), Parameter("signal")), factories.macd, _rising),
        Family("trix", (_WINDOW,), factories.trix),
        Family("rsi", (_WINDOW,), factories.rsi),
        Family("cmo", (_WINDOW,), factories.cmo),
        Family("stoch_rsi", (_WINDOW, _smooth("smooth", p.STOCH_RSI_SMOOTH)), factories.stoch_rsi),
        Family(
            "stochastics",
            (
                _WINDOW,
                _smooth("smooth_k", p.STOCH_SMOOTH_K),
                _smooth("smooth_d", p.STOCH_SMOOTH_D),
            ),
            factories.stochastics,
        ),
        Family("willr", (_WINDOW,), factories.willr),
        Family("cci", (_WINDOW,), factories.cci),
        Family("roc", (Parameter("window", low=1),), factories.roc),
        Family("mfi", (_WINDOW,), factories.mfi),
        Family("atr", (_WINDOW,), factories.atr),
        Family("natr", (_WINDOW,), factories.natr),
        Family("adx", (_WINDOW,), factories.adx),
        Family("aroon", (_WINDOW,), factories.aroon),
        Family("bollinger", (_WINDOW, _factor("deviations", p.BOLLINGER_DEVIATIONS)), factories.bollinger),
        Family(
            "keltner",
            (
                _WINDOW,
                Parameter("atr_window", p.KELTNER_ATR_WINDOW),
                _factor("multiplier", p.KELTNER_MULTIPLIER),
            ),
            factories.keltner,
        ),
        Family("donchian", (_WINDOW,), factories.donchian),
        Family("supertrend", (_WINDOW, _factor("multiplier", p.SUPERTREND_MULTIPLIER)), factories.supertrend),
        Family(
            "psar",
            (Parameter("step", low=0.001, high=2, whole=False), Parameter("limit", low=0.001, high=2, whole=False)),
            factories.psar,
            _below_limit,
        ),
        Family("ichimoku", (Parameter("tenkan"), Parameter("kijun"), Parameter("span_b")), factories.ichimoku),
    )
}
