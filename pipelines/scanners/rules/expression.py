"""The grammar of rules: text to a tree, or an error that says where and why.

    condition  := all ("or" all)*             all := one ("and" one)*             one := "not" one | comparison
    comparison := sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)*
    sum        := product (("+" | "-") product)*          product := signed (("*" | "/") signed)*
    signed     := "-" signed | number | name | "(" condition ")" | function "(" … ")"

Functions: `previous(x)`, x one session earlier; `crosses_above(a, b)` and `crosses_below(a, b)`, true in the session in which a
leaves b to that side.

Lives here: the tree and its parser. Nothing of a text reaches SQL except through this tree.
Does not live here: which names there are (`columns`), SQL (`model`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

LONGEST = 2000
_DEEPEST = 40
#: A chain of signs is a tree as deep as it is long, which the walks over it must get through.
_MOST_SIGNS = 150
_LONGEST_NUMBER = 20
#: Sessions a crossing looks back over a tie.
TIE_SESSIONS = 5
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<name>[A-Za-z_]\w*)|(?P<sign><=|>=|==|!=|[-+*/<>(),=]))")
_COMPARES = {"<", "<=", ">", ">=", "==", "!="}
_KEYWORDS = {"and", "or", "not"}
FUNCTIONS = {"previous": 1, "crosses_above": 2, "crosses_below": 2}


class ExpressionError(ValueError):
    """A rule cannot be read. `position` counts characters from 1."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True)
class Number:
    """A number as written."""

    value: float
    position: int


@dataclass(frozen=True)
class Name:
    """A column or a parameter."""

    name: str
    position: int


@dataclass(frozen=True)
class Operation:
    """Arithmetic: + - * / of two numbers; a sign is 0 - x."""

    sign: str
    left: Node
    right: Node
    position: int


@dataclass(frozen=True)
class Comparison:
    """Two numbers compared."""

    sign: str
    left: Node
    right: Node
    position: int


@dataclass(frozen=True)
class Logic:
    """and, or over several conditions; not over one."""

    word: Literal["and", "or", "not"]
    parts: tuple[Node, ...]
    position: int


@dataclass(frozen=True)
class Previous:
    """The same one session earlier."""

    of: Node
    position: int


@dataclass(frozen=True)
class Crossing:
    """a leaves b upwards (above) or downwards: it was on the other side when they last differed."""

    above: bool
    left: Node
    right: Node
    position: int


Node = Number | Name | Operation | Comparison | Logic | Previous | Crossing


def parse(text: str) -> Node:
    """The tree of an expression, a condition or a number. Raises ExpressionError with the position of what is wrong."""
    if len(text) > LONGEST:
        raise ExpressionError(f"the expression is longer than {LONGEST} characters", LONGEST)
    return _Parser(text).whole()


def is_condition(node: Node) -> bool:
    """Whether it is true or false, not a number."""
    if isinstance(node, Previous):
        return is_condition(node.of)
    return isinstance(node, Comparison | Logic | Crossing)


def names(node: Node, ago: int = 0, tie: int = TIE_SESSIONS) -> Iterator[tuple[Name, int]]:
    """Every name with how many sessions ago it is meant; a crossing looks back over at most `tie` sessions."""
    if isinstance(node, Name):
        yield node, ago
    elif isinstance(node, Previous):
        yield from names(node.of, ago + 1, tie)
    elif isinstance(node, Crossing):
        for back in range(tie + 1):
            yield from names(node.left, ago + back, tie)
            yield from names(node.right, ago + back, tie)
    elif isinstance(node, Logic):
        for part in node.parts:
            yield from names(part, ago, tie)
    elif isinstance(node, Operation | Comparison):
        yield from names(node.left, ago, tie)
        yield from names(node.right, ago, tie)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


class _Parser:
    """Recursive descent, one method a line of the grammar."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self._signs = 0

    def whole(self) -> Node:
        node = self._any()
        if self._peek().kind != "end":
            token = self._peek()
            hint = "; write == to compare" if token.text == "=" else ""
            raise ExpressionError(f"{token.text!r} is not expected here{hint}", token.position)
        return node

    def _any(self) -> Node:
        return self._joined("or", lambda: self._joined("and", self._one))

    def _joined(self, word: Literal["and", "or"], part) -> Node:  # type: ignore[no-untyped-def]
        position = self._peek().position
        found = [part()]
        while self._peek().text == word:
            self._take()
            found.append(part())
        if len(found) == 1:
            return found[0]
        return Logic(word, tuple(self._condition(node) for node in found), position)

    def _one(self) -> Node:
        token = self._peek()
        if token.text != "not":
            return self._comparison()
        self._take()
        return Logic("not", (self._condition(self._deeper(self._one)),), token.position)

    def _comparison(self) -> Node:
        position = self._peek().position
        left = self._sum()
        found: list[Node] = []
        while self._peek().text in _COMPARES:
            sign = self._take()
            right = self._sum()
            found.append(Comparison(sign.text, self._number(left), self._number(right), sign.position))
            left = right
        if not found:
            return left
        return found[0] if len(found) == 1 else Logic("and", tuple(found), position)

    def _sum(self) -> Node:
        return self._operations({"+", "-"}, lambda: self._operations({"*", "/"}, self._signed))

    def _operations(self, signs: set[str], part) -> Node:  # type: ignore[no-untyped-def]
        node: Node = part()
        while self._peek().text in signs:
            sign = self._take()
            self._signs += 1
            if self._signs > _MOST_SIGNS:
                raise ExpressionError(f"more than {_MOST_SIGNS} signs of arithmetic", sign.position)
            node = Operation(sign.text, self._number(node), self._number(part()), sign.position)
        return node

    def _signed(self) -> Node:
        token = self._take()
        if token.text == "-":
            return Operation("-", Number(0.0, token.position), self._number(self._deeper(self._signed)), token.position)
        if token.kind == "number":
            if len(token.text) > _LONGEST_NUMBER:
                raise ExpressionError(f"a number has at most {_LONGEST_NUMBER} characters", token.position)
            return Number(float(token.text), token.position)
        if token.text == "(":
            node = self._deeper(self._any)
            self._expect(")")
            return node
        if token.kind == "name" and token.text not in _KEYWORDS:
            return self._call(token) if self._peek().text == "(" else Name(token.text, token.position)
        what = "the expression ends" if token.kind == "end" else f"{token.text!r} stands"
        raise ExpressionError(f"{what} where a number, a name or a parenthesis is expected", token.position)

    def _call(self, token: _Token) -> Node:
        if token.text not in FUNCTIONS:
            raise ExpressionError(f"no function {token.text!r}; there are {', '.join(FUNCTIONS)}", token.position)
        self._expect("(")
        given = [self._deeper(self._any)]
        while self._peek().text == ",":
            self._take()
            given.append(self._deeper(self._any))
        self._expect(")")
        if len(given) != FUNCTIONS[token.text]:
            wanted = FUNCTIONS[token.text]
            raise ExpressionError(f"{token.text} takes {wanted} value{'s' * (wanted > 1)}, not {len(given)}", token.position)
        if token.text == "previous":
            return Previous(given[0], token.position)
        left, right = (self._number(node) for node in given)
        return Crossing(token.text == "crosses_above", left, right, token.position)

    def _deeper(self, part) -> Node:  # type: ignore[no-untyped-def]
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError(f"more than {_DEEPEST} levels of parentheses", self._peek().position)
        node: Node = part()
        self._depth -= 1
        return node

    def _number(self, node: Node) -> Node:
        if is_condition(node):
            raise ExpressionError("a number is expected here, not a condition", node.position)
        return node

    def _condition(self, node: Node) -> Node:
        if not is_condition(node):
            raise ExpressionError("a condition is expected here, such as close > 100", node.position)
        return node

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def _expect(self, text: str) -> None:
        token = self._take()
        if token.text != text:
            what = "the expression ends" if token.kind == "end" else f"{token.text!r} stands"
            raise ExpressionError(f"{what} where {text!r} is expected", token.position)


def _tokens(text: str) -> list[_Token]:
    found = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            gap = len(text[at:]) - len(text[at:].lstrip())
            raise ExpressionError(f"{text[at + gap]!r} has no meaning in a rule", at + gap + 1)
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind) + 1))
        at = match.end()
    return [*found, _Token("end", "", end + 1)]
