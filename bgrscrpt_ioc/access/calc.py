"""CALC expressions of access rules: text -> a function of the inputs A to U, as EPICS has them.

Pure. Strings of the sCalc record and the assignment operators are none of an access rule's.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Value = Callable[[Mapping[str, float]], float]

LETTERS = "ABCDEFGHIJKLMNOPQRSTU"
_TOKEN = re.compile(
    r"\s*(?:(0x[0-9a-f]+|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|([a-z_][a-z0-9_]*)"
    r"|(\*\*|<<|>>>|>>|<=|>=|==|!=|&&|\|\||[-+*/%^<>=#&|!~?:(),]))",
    re.IGNORECASE,
)
_CONSTANTS = {"PI": math.pi, "D2R": math.pi / 180, "R2D": 180 / math.pi}


class CalcError(ValueError):
    """The expression is none; the text says what is wrong with it."""


def _whole(value: float) -> int:
    """A 32-bit integer, as the bit operators take it."""
    if math.isnan(value) or math.isinf(value):
        return 0
    bits = int(value) & 0xFFFFFFFF
    return bits - (1 << 32) if bits >= 1 << 31 else bits


def _divided(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left)


def _remainder(left: float, right: float) -> float:
    divisor = _whole(right)
    return math.nan if not divisor else math.fmod(_whole(left), divisor)


def _power(left: float, right: float) -> float:
    try:
        found = math.pow(left, right)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if not left else math.nan
    return found


def _shifted(left: float, right: float) -> float:
    return float(_whole(_whole(left) << (_whole(right) & 31)))


_Binary = Callable[[float, float], float]
# Weakest first; all group to the left. NaN is true, as in C.
_LEVELS: tuple[dict[str, _Binary], ...] = (
    {
        "||": lambda a, b: a != 0 or b != 0,
        "|": lambda a, b: _whole(a) | _whole(b),
        "OR": lambda a, b: _whole(a) | _whole(b),
        "XOR": lambda a, b: _whole(a) ^ _whole(b),
    },
    {
        "&&": lambda a, b: a != 0 and b != 0,
        "&": lambda a, b: _whole(a) & _whole(b),
        "AND": lambda a, b: _whole(a) & _whole(b),
        "<<": _shifted,
        ">>": lambda a, b: _whole(a) >> (_whole(b) & 31),
        ">>>": lambda a, b: _whole((_whole(a) & 0xFFFFFFFF) >> (_whole(b) & 31)),
    },
    {
        "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
        "=": operator.eq, "==": operator.eq, "#": operator.ne, "!=": operator.ne,
    },
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": _divided, "%": _remainder},
    {"^": _power, "**": _power},
)  # fmt: skip


def _real(function: Callable[[float], float]) -> Callable[..., float]:
    """NaN where the function has no value."""

    def guarded(value: float) -> float:
        try:
            return function(value)
        except (ValueError, OverflowError):
            return math.nan

    return guarded


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ABS": abs,
    "SQRT": _real(math.sqrt),
    "SQR": _real(math.sqrt),
    "EXP": _real(math.exp),
    "LOG": _real(math.log10),
    "LOGE": _real(math.log),
    "LN": _real(math.log),
    "CEIL": _real(math.ceil),
    "FLOOR": _real(math.floor),
    "NINT": lambda value: _whole(value + 0.5 if value >= 0 else value - 0.5),
    "INT": lambda value: _whole(value + 0.5 if value >= 0 else value - 0.5),
    "MAX": lambda *values: math.nan if any(map(math.isnan, values)) else max(values),
    "MIN": lambda *values: math.nan if any(map(math.isnan, values)) else min(values),
    "ISNAN": lambda *values: any(map(math.isnan, values)),
    "ISINF": math.isinf,
    "FINITE": lambda *values: all(map(math.isfinite, values)),
}
_UNARY: dict[str, Callable[[float], float]] = {
    "-": operator.neg,
    "!": lambda value: value == 0,
    "~": lambda value: ~_whole(value),
    "NOT": lambda value: ~_whole(value),
}


def compiled(text: str) -> tuple[Value, frozenset[str]]:
    """The expression as a function of its inputs, and which of them it uses.

    Raises:
        CalcError: it is no expression.
    """
    reader = _Reader(text)
    value = reader.ternary()
    if reader.symbol:
        raise CalcError(f"CALC {text!r}: {reader.symbol!r} is not expected")
    return value, frozenset(reader.inputs)


class _Reader:
    """Goes through the tokens once."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self.symbol = ""
        self.inputs: set[str] = set()
        self._next()

    def ternary(self) -> Value:
        """A condition and its two values, or a binary expression."""
        condition = self._binary(0)
        if self.symbol != "?":
            return condition
        self._next()
        then = self.ternary()
        self._expect(":")
        other = self.ternary()
        return lambda inputs: then(inputs) if condition(inputs) else other(inputs)

    def _binary(self, level: int) -> Value:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self.symbol in _LEVELS[level]:
            function = _LEVELS[level][self.symbol]
            self._next()
            left = _joined(function, left, self._binary(level + 1))
        return left

    def _unary(self) -> Value:
        if self.symbol in _UNARY:
            function = _UNARY[self.symbol]
            self._next()
            operand = self._unary()
            return lambda inputs: float(function(operand(inputs)))
        return self._operand()

    def _operand(self) -> Value:
        symbol = self.symbol
        if symbol == "(":
            self._next()
            value = self.ternary()
            self._expect(")")
            return value
        self._next()
        if symbol in _FUNCTIONS:
            return self._call(symbol)
        if symbol in _CONSTANTS or symbol[:1].isdigit() or symbol[:1] == ".":
            number = _CONSTANTS.get(symbol) or float(int(symbol, 16) if "X" in symbol else symbol)
            return lambda _inputs: number
        if symbol and symbol in LETTERS:
            self.inputs.add(symbol)
            return lambda inputs: inputs[symbol]
        raise CalcError(f"CALC {self._text!r}: {symbol or 'its end'!r} is not expected")

    def _call(self, name: str) -> Value:
        self._expect("(")
        arguments = [self.ternary()]
        while self.symbol == ",":
            self._next()
            arguments.append(self.ternary())
        self._expect(")")
        if len(arguments) > 1 and name not in ("MAX", "MIN", "ISNAN", "FINITE"):
            raise CalcError(f"CALC {self._text!r}: {name} takes one argument")
        function = _FUNCTIONS[name]
        if len(arguments) == 1 and name in ("MAX", "MIN"):
            return arguments[0]
        return lambda inputs: float(function(*(each(inputs) for each in arguments)))

    def _expect(self, symbol: str) -> None:
        if self.symbol != symbol:
            raise CalcError(
                f"CALC {self._text!r}: {symbol!r} expected, not {self.symbol or 'its end'!r}"
            )
        self._next()

    def _next(self) -> None:
        if not self._text[self._at :].strip():
            self.symbol = ""
            return
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise CalcError(f"CALC {self._text!r}: {self._text[self._at :].strip()!r} is unknown")
        self._at, self.symbol = found.end(), found[0].strip().upper()


def _joined(function: _Binary, left: Value, right: Value) -> Value:
    return lambda inputs: float(function(left(inputs), right(inputs)))
