"""Compiles CALC expressions of access rules to functions of the inputs A to U, as EPICS has them.

Pure. Access rules have no strings (as in the sCalc record) and no assignments.
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
SMALLEST = 1 << 31  # the smallest 32-bit integer, without its sign


class CalcError(ValueError):
    """The text is no expression; the message says what is wrong."""


def _cast(value: float) -> int:
    """Return the 32-bit integer that C on a PC makes of a number (if too large, the smallest)."""
    return int(value) if -SMALLEST - 1 < value < SMALLEST else -SMALLEST


def _whole(value: float) -> int:
    """Return a 32-bit integer for a bit operator, converted to unsigned first if possible."""
    if value < 0:
        return _cast(value)
    return _wrapped(int(value)) if value < 1 << 63 else 0


def _wrapped(number: int) -> int:
    bits = number & 0xFFFFFFFF
    return bits - (1 << 32) if bits >= SMALLEST else bits


def _divided(left: float, right: float) -> float:
    if right:
        return left / right
    pole = math.copysign(math.inf, left) * math.copysign(1, right)
    return math.nan if not left or math.isnan(left) else pole


def _remainder(left: float, right: float) -> float:
    divisor = _cast(right)
    return math.nan if not divisor else math.fmod(_cast(left), divisor)


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        pass
    except ValueError:
        if left:
            return math.nan
    return math.copysign(math.inf, left) if right % 2 == 1 else math.inf


def _shifted(left: float, right: float) -> float:
    return float(_wrapped(_whole(left) << (_whole(right) & 31)))


_Binary = Callable[[float, float], float]
# The weakest operators first; all group to the left. NaN is true, as in C.
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


def _real(function: Callable[[float], float], at_0: float = math.nan) -> Callable[..., float]:
    """Return a function as C has it: NaN where it has no value, and a pole at 0 if it has one."""

    def guarded(value: float) -> float:
        try:
            return function(value)
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan if value else at_0

    return guarded


def _rounded(function: Callable[[float], int]) -> Callable[..., float]:
    return lambda value: function(value) if math.isfinite(value) else value


def _nearest(value: float) -> int:
    return _cast(value + 0.5 if value >= 0 else value - 0.5)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ABS": abs,
    "SQRT": _real(math.sqrt),
    "SQR": _real(math.sqrt),
    "EXP": _real(math.exp),
    "LOG": _real(math.log10, -math.inf),
    "LOGE": _real(math.log, -math.inf),
    "LN": _real(math.log, -math.inf),
    "CEIL": _rounded(math.ceil),
    "FLOOR": _rounded(math.floor),
    "NINT": _nearest,
    "INT": _nearest,
    "MAX": lambda *values: math.nan if any(map(math.isnan, values)) else max(values),
    "MIN": lambda *values: math.nan if any(map(math.isnan, values)) else min(values),
    "ISNAN": lambda *values: any(map(math.isnan, values)),
    "ISINF": lambda value: math.copysign(math.isinf(value), value),
    "FINITE": lambda *values: all(map(math.isfinite, values)),
}
_UNARY: dict[str, Callable[[float], float]] = {
    "-": operator.neg,
    "!": lambda value: value == 0,
    "~": lambda value: ~_whole(value),
    "NOT": lambda value: ~_whole(value),
}


def compiled(text: str) -> tuple[Value, frozenset[str]]:
    """Return the expression as a function of its inputs, and the inputs that it uses.

    Raises:
        CalcError: the text is no expression.
    """
    reader = _Reader(text)
    value = reader.ternary()
    if reader.symbol:
        raise CalcError(f"CALC {text!r}: {reader.symbol!r} is not expected")
    return value, frozenset(reader.inputs)


class _Reader:
    """Reads the tokens once, from left to right."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self.symbol = ""
        self.inputs: set[str] = set()
        self._next()

    def ternary(self) -> Value:
        """Read a condition and its two values, or a binary expression."""
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
