"""A rule as a dbt model: SQL over schema `scan`, and the yml with the contract of scanners.

Lives here: `model_sql` and `model_yml`.
Does not live here: reading rules (`file`), where the models go (`scanners/extensions/discovery.py`).

Numbers are compared as whole millionths, so that no tie turns on a float. An instrument that lacks any value the rule needs is not
judged, whatever the others say: it shows as missing coverage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.scanners.rules.columns import RuleColumn
from pipelines.scanners.rules.expression import (
    TIE_SESSIONS,
    Comparison,
    Crossing,
    Logic,
    Name,
    Node,
    Number,
    Operation,
    Previous,
    names,
)
from pipelines.scanners.rules.file import Rule

_SCALE = 1_000_000
#: A brace that opens an expression, a statement or a comment of Jinja together with the next character.
_JINJA = re.compile(r"\{(?=[{%#])")
_SIGNS = {"==": "=", "!=": "<>"}
_BASIS = {"price": "{} * price_factor", "volume": "{} / volume_divisor"}
_FINAL = """    select
        *,
        last_price as entry_price,
        last_price + side * target_atr * atr_14 as target_price,
        last_price - side * stop_atr * atr_14 as stop_loss
    from decided"""
#: Regular sessions that the usual volume is made of, and those without which an intraday one is not known.
_USUAL_SESSIONS, _LEAST_SESSIONS = 20, 10


def expression_sql(node: Node, parameters: Iterable[str], ago: int = 0) -> str:
    """SQL of an expression over columns `<name>__<sessions ago>` and parameters by their names."""
    own = frozenset(parameters)

    def value(node: Node, ago: int) -> str:  # noqa: PLR0911  # one return a kind of node
        if isinstance(node, Number):
            return f"{node.value!r}::double"
        if isinstance(node, Name):
            return node.name if node.name in own else f"{node.name}__{ago}"
        if isinstance(node, Previous):
            return value(node.of, ago + 1)
        if isinstance(node, Operation):
            left, right = value(node.left, ago), value(node.right, ago)
            return f"({left} / nullif({right}, 0))" if node.sign == "/" else f"({left} {node.sign} {right})"
        if isinstance(node, Comparison):
            return f"({whole(node.left, ago)} {_SIGNS.get(node.sign, node.sign)} {whole(node.right, ago)})"
        if isinstance(node, Logic):
            parts = [value(part, ago) for part in node.parts]
            return f"(not {parts[0]})" if node.word == "not" else f"({f' {node.word} '.join(parts)})"
        return crossing(node, ago)

    def whole(node: Node, ago: int) -> str:
        return f"try_cast(round({value(node, ago)} * {_SCALE}) as hugeint)"

    def crossing(node: Crossing, ago: int) -> str:
        # Which side it was on when the two last differed: a tie is neither side, so touching and turning back is no crossing.
        apart = [f"({whole(node.left, ago + back)} - {whole(node.right, ago + back)})" for back in range(TIE_SESSIONS + 1)]
        before = ", ".join(f"nullif(sign({one}), 0)" for one in apart[1:])
        now, then = (">", "<") if node.above else ("<", ">")
        known = f"{apart[0]} is not null and {apart[1]} is not null"
        return f"(case when {known} then {apart[0]} {now} 0 and coalesce({before}, 0) {then} 0 end)"

    return value(node, ago)


def model_sql(rule: Rule, columns: Mapping[str, RuleColumn]) -> str:
    """The model's text: the layout of the scanners that people write. `columns`: the names that it may use."""
    asked = _asked(rule, columns)
    fast = rule.evaluates == "intraday"
    today = "intraday_so_far" if fast else "day_so_far"
    numbers = sorted(rule.parameters)
    atr_ago = 0 if rule.evaluates == "closed_daily" else 1
    parts = [
        ("universe", "    select * from {{ scan('universe') }}" + ("\n    where is_intraday_allowed" if fast else "")),
        ("today", f"    select * from {{{{ scan('{today}') }}}}" + ("\n    where is_regular" if fast else "")),
        ("bars", _bars(asked)),
        ("indicators", _indicators(rule, asked)),
        ("atr", _atr(atr_ago)),
        ("usual", _usual(rule, asked)),
        ("breaks", _breaks(rule, asked)),
        ("parameters", f"    {{{{ scanner_parameters('{rule.name}', numbers={numbers!r}) }}}}"),
    ]
    parts = [(name, text) for name, text in parts if text]
    there = {name for name, _ in parts}
    parts += [
        ("gathered", _gathered(rule, asked, there)),
        ("decided", _decided(rule)),
        ("final", _FINAL),
        ("signals", _signals(rule)),
    ]
    ctes = ",\n\n".join(f"{name} as (\n\n{text}\n\n)" for name, text in parts)
    head = f"-- Made from the rule {rule.name} of the file that MARKETLAKE_SCANNERS names; edit that."
    return f"{head}\nwith\n\n{ctes}\n\nselect * from signals\n"


def model_yml(rule: Rule, contract: list[dict[str, Any]]) -> str:
    """The yml beside it. `contract`: columns of the scanner contract, as in the built-in scanners' yml."""
    import yaml

    values = ", ".join(f"{_word(name, ago)} {{{_key(name, ago)}}}" for name, ago in _shown(rule))
    meta = {
        "version": rule.version,
        "family": "rules",
        "evaluates": rule.evaluates,
        "moments": list(rule.moments),
        "live_moments": list(rule.live_moments),
        "min_coverage_pct": rule.min_coverage_pct,
        "universe": rule.universe,
        "rule": f"{rule.when} ({values})" if values else rule.when,
        "parameters": {name: dict(about) for name, about in rule.parameters.items()},
    }
    described = rule.description or f"A rule of this installation: {rule.side} when {rule.when}."
    model = {
        "name": rule.name,
        "description": _literal(described),
        "config": {"contract": {"enforced": True}, "meta": {"scanner": _literal(meta)}},
        "columns": contract,
    }
    return yaml.safe_dump({"models": [model]}, sort_keys=False, width=130, allow_unicode=True)


def _literal(value: Any) -> Any:
    """A value whose texts dbt shows as they are. It renders descriptions and configuration as Jinja, where `{{ env_var(…) }}` in a
    rule's words would put a secret into the manifest.
    """
    if isinstance(value, str):
        return _JINJA.sub("{{ '{' }}", value)
    if isinstance(value, dict):
        return {name: _literal(one) for name, one in value.items()}
    return [_literal(one) for one in value] if isinstance(value, list) else value


def _asked(rule: Rule, columns: Mapping[str, RuleColumn]) -> list[tuple[RuleColumn, int]]:
    """Columns that the rule reads, with how many sessions ago each."""
    found = {(name.name, ago) for node in (rule.condition, rule.rank) for name, ago in names(node)}
    if any(name == "relative_volume" for name, _ in found):
        found |= {("volume", 0), ("mean_volume", 0)}
    return [(columns[name], ago) for name, ago in sorted(found) if name not in rule.parameters]


def _shown(rule: Rule) -> list[tuple[str, int]]:
    """What details show: every column now, and as of the session before where the rule looks there."""
    written = {(name.name, ago) for node in (rule.condition, rule.rank) for name, ago in names(node)}
    return [(name, ago) for name, ago in sorted(written) if ago <= 1 and name not in rule.parameters]


def _key(name: str, ago: int) -> str:
    return f"{name}_before" if ago else name


def _word(name: str, ago: int) -> str:
    return f"{name} of the session before" if ago else name


def _bars(asked: list[tuple[RuleColumn, int]]) -> str:
    wanted = [(column.name, ago) for column, ago in asked if column.origin == "bar" and ago]
    if not wanted:
        return ""
    columns = "\n".join(
        f"        any_value({name}) filter (where sessions_ago = {ago})::double as {name}__{ago}," for name, ago in wanted
    )
    return (
        f"    select\n        as_of_ts,\n        instrument_id,\n{columns}\n        max(known_at) as known_at\n"
        f"    from {{{{ scan('bars_prior', where='sessions_ago <= {max(ago for _, ago in wanted)}') }}}}\n"
        "    group by as_of_ts, instrument_id"
    )


def _indicators(rule: Rule, asked: list[tuple[RuleColumn, int]]) -> str:
    # As of a moment within a session the latest finished row is the previous session's.
    shift = 0 if rule.evaluates == "closed_daily" else 1
    wanted = [(column, ago) for column, ago in asked if column.origin == "indicator"]
    if not wanted:
        return ""
    relation, last = "indicators_prior" if shift else "indicators_closed", max(ago for _, ago in wanted) + shift
    columns = "\n".join(
        f"        any_value({_BASIS.get(c.unit, '{}').format(c.name)}) filter (where sessions_ago = {ago + shift})"
        f"::double as {c.name}__{ago},"
        for c, ago in wanted
    )
    return (
        f"    select\n        as_of_ts,\n        instrument_id,\n{columns}\n        max(known_at) as known_at\n"
        f"    from {{{{ scan('{relation}', where='sessions_ago between {shift} and {last}') }}}}\n"
        "    group by as_of_ts, instrument_id"
    )


def _atr(ago: int) -> str:
    relation = "indicators_prior" if ago else "indicators_closed"
    return (
        "    select\n        as_of_ts,\n        instrument_id,\n        atr_14 * price_factor as atr_14,\n        known_at\n"
        f"    from {{{{ scan('{relation}', where='sessions_ago = {ago}') }}}}"
    )


def _usual(rule: Rule, asked: list[tuple[RuleColumn, int]]) -> str:
    if not any(column.origin == "usual" for column, _ in asked):
        return ""
    if rule.evaluates == "intraday":
        return (
            "    select\n        as_of_ts,\n        instrument_id,\n        mean_volume as mean_volume__0,\n"
            "        median_volume as median_volume__0,\n        mean_range as mean_range__0,\n        known_at\n"
            f"    from {{{{ scan('volume_profile') }}}}\n    where sessions >= {_LEAST_SESSIONS}"
        )
    return (
        "    select\n        as_of_ts,\n        instrument_id,\n        cast(sum(volume) as double) / count(*) as mean_volume__0,\n"
        "        cast(median(volume) as double) as median_volume__0,\n"
        "        cast(sum(cast(round((high - low) * 10000) as bigint)) as double) / count(*) / 10000 as mean_range__0,\n"
        "        max(known_at) as known_at\n"
        f"    from {{{{ scan('bars_prior', where='sessions_ago <= 40 and regular_ago between 1 and {_USUAL_SESSIONS}') }}}}\n"
        f"    group by as_of_ts, instrument_id\n    having count(*) = {_USUAL_SESSIONS}"
    )


def _breaks(rule: Rule, asked: list[tuple[RuleColumn, int]]) -> str:
    """Instruments whose prices cannot be compared over what the rule looks back on."""
    shift = 0 if rule.evaluates == "closed_daily" else 1
    reach = [ago + column.sessions + (shift if column.origin == "indicator" else 0) for column, ago in asked]
    if not any(reach):
        return ""
    return (
        "    select distinct\n        as_of_ts,\n        instrument_id\n"
        f"    from {{{{ scan('unadjusted_actions') }}}}\n    where sessions_ago < {max(reach)}"
    )


def _gathered(rule: Rule, asked: list[tuple[RuleColumn, int]], there: set[str]) -> str:
    now = [column.name for column, ago in asked if column.origin == "bar" and ago == 0]
    today = [f"today.{'last_price' if name == 'close' else name}::double as {name}__0" for name in now]
    more = [name for name in ("bars", "indicators", "usual") if name in there]
    columns = [
        "today.as_of_ts",
        "today.exchange",
        "today.session_date",
        "today.instrument_id",
        "today.symbol",
        "today.last_price",
        *today,
        *(f"{name}.* exclude (as_of_ts, instrument_id, known_at)" for name in more),
        "atr.atr_14",
        "parameters.*",
    ]
    if any(column.name == "relative_volume" for column, _ in asked):
        columns.append("today.volume / nullif(usual.mean_volume__0, 0) as relative_volume__0")
    known = ", ".join(["today.known_at", *(f"coalesce({name}.known_at, today.known_at)" for name in (*more, "atr"))])
    columns.append(f"greatest({known}) as known_at")
    joins = [f"inner join universe on {_same('universe')}"]
    joins += [f"left join {name} on {_same(name)}" for name in (*more, "atr")]
    joins += [f"anti join breaks on {_same('breaks')}"] if "breaks" in there else []
    listed = ",\n        ".join(columns)
    return f"    select\n        {listed}\n    from today\n    " + "\n    ".join([*joins, "cross join parameters"])


def _same(name: str) -> str:
    return f"today.as_of_ts = {name}.as_of_ts and today.instrument_id = {name}.instrument_id"


def _decided(rule: Rule) -> str:
    condition = expression_sql(rule.condition, rule.parameters)
    score = expression_sql(rule.rank, rule.parameters)
    side = 1 if rule.side == "BUY" else -1
    needed = {(name.name, ago) for name, ago in names(rule.condition, tie=1) if name.name not in rule.parameters}
    known = "".join(f"\n        and {name}__{ago} is not null" for name, ago in sorted(needed))
    return (
        "    select\n        *,\n        case when is_met then "
        f"{side} else 0 end as side\n    from (\n        select\n            *,\n            {condition} as is_met,\n"
        f"            {score} as score\n        from gathered\n    )\n    where\n        is_met is not null{known}"
    )


def _signals(rule: Rule) -> str:
    timeframe = "1m" if rule.evaluates == "intraday" else "1d"
    details = {_key(name, ago): f"round({name}__{ago}, 6)" for name, ago in _shown(rule)}
    details["atr_14"] = "round(atr_14, 6)"
    listed = "".join(f"\n        '{key}': '{expression}'," for key, expression in details.items())
    return f"    {{{{ signal_rows('final', timeframe='{timeframe}', details={{{listed}\n    }}) }}}}"
