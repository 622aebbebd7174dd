"""Reads EPICS access security configuration files: groups of users and hosts, and rules.

Pure. rules.py applies the rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from bgrscrpt_ioc.access.calc import LETTERS, CalcError, Value, compiled


class Right(IntEnum):
    """The right that a rule gives; each right includes those below it."""

    NONE = 0
    READ = 1
    WRITE = 2


class AccessFileError(ValueError):
    """The file cannot be used; the text is `line N: ...`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One RULE of a group. Empty `users` or `hosts` means all of them; `calc` None means always."""

    level: int
    right: Right
    trap: bool = False
    users: tuple[str, ...] = ()  # names of UAGs: groups of users
    hosts: tuple[str, ...] = ()  # names of HAGs: groups of hosts
    calc: Value | None = None
    calc_inputs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """One ASG, a group of PVs; `inputs` are PVs by their letters."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessFile:
    """A whole file."""

    users: Mapping[str, frozenset[str]]
    hosts: Mapping[str, frozenset[str]]
    groups: Mapping[str, Group]


_TOKEN = re.compile(r'[ \t\r]*(?:(#[^\n]*)|(\n)|"((?:[^"\\\n]|\\.)*)"|([(){},])|([^\s(){},"#]+))')


def parse(text: str) -> AccessFile:
    """Return what a file says.

    Raises:
        AccessFileError: the text names the line and what was expected there.
    """
    return _Reader(text).file()


class _Reader:
    def __init__(self, text: str) -> None:
        self._symbols = list(_symbols(text))
        self._at = 0
        self._users: dict[str, frozenset[str]] = {}
        self._hosts: dict[str, frozenset[str]] = {}
        self._groups: dict[str, Group] = {}

    def file(self) -> AccessFile:
        kinds: dict[str, Callable[[str], None]] = {
            "UAG": lambda name: self._add(self._users, "UAG", name, frozenset(self._members())),
            "HAG": lambda name: self._add(self._hosts, "HAG", name, frozenset(self._members())),
            "ASG": lambda name: self._add(self._groups, "ASG", name, self._group()),
        }
        while self._symbol:
            kind = kinds.get(self._symbol)
            if kind is None:
                raise self._wrong("UAG, HAG or ASG")
            self._next()
            kind(self._named())
        for group in self._groups.values():
            for rule in group.rules:
                self._check(rule)
        return AccessFile(self._users, self._hosts, self._groups)

    def _check(self, rule: Rule) -> None:
        for kind, names, known in (
            ("UAG", rule.users, self._users),
            ("HAG", rule.hosts, self._hosts),
        ):
            for name in names:
                if name not in known:
                    raise AccessFileError(f"{kind}({name}) is used in a RULE, but there is none")

    def _add(self, where: dict, kind: str, name: str, what: object) -> None:
        if name in where:
            raise AccessFileError(f"line {self._line}: a second {kind}({name})")
        where[name] = what

    def _group(self) -> Group:
        inputs: dict[str, str] = {}
        rules: list[Rule] = []
        if self._symbol != "{":
            return Group()
        self._next()
        while self._symbol != "}" or not (inputs or rules):  # EPICS accepts no empty braces
            word = self._symbol
            if re.fullmatch(f"INP[{LETTERS}]", word):
                self._next()
                inputs[word[3]] = self._named()
            elif word == "RULE":
                self._next()
                rules.append(self._rule())
            else:
                raise self._wrong("INPA, INPB, ..., RULE or }")
        self._next()
        return Group(inputs, tuple(rules))

    def _rule(self) -> Rule:
        self._expect("(")
        level = self._take()
        if not level.isdecimal():
            raise AccessFileError(f"line {self._line}: level {level!r} should be 0 or 1")
        self._expect(",")
        right = self._take()
        if right not in Right.__members__:
            raise AccessFileError(f"line {self._line}: {right!r} should be NONE, READ or WRITE")
        trap = False
        if self._symbol == ",":
            self._next()
            word = self._take()
            if word not in ("TRAPWRITE", "NOTRAPWRITE"):
                raise AccessFileError(f"line {self._line}: {word!r} should be TRAPWRITE")
            trap = word == "TRAPWRITE"
        self._expect(")")
        users, hosts, calc = self._conditions()
        function, inputs = calc or (None, frozenset[str]())
        return Rule(int(level), Right[right], trap, users, hosts, function, inputs)

    def _conditions(
        self,
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Value, frozenset[str]] | None]:
        users: list[str] = []
        hosts: list[str] = []
        calc = None
        if self._symbol != "{":
            return (), (), None
        self._next()
        while self._symbol != "}":
            word = self._take()
            if word in ("UAG", "HAG"):
                (users if word == "UAG" else hosts).extend(self._names("(", ")"))
            elif word == "CALC":
                line = self._line
                try:
                    calc = compiled(self._named())
                except CalcError as error:
                    raise AccessFileError(f"line {line}: {error}") from error
            else:
                self._at -= 1
                raise self._wrong("UAG, HAG, CALC or }")
        self._next()
        return tuple(users), tuple(hosts), calc

    def _members(self) -> list[str]:
        return self._names("{", "}") if self._symbol == "{" else []

    def _named(self) -> str:
        self._expect("(")
        name = self._take()
        self._expect(")")
        return name

    def _names(self, start: str, end: str) -> list[str]:
        self._expect(start)
        names: list[str] = []
        while self._symbol != end:
            names.append(self._take())
            if self._symbol == ",":
                self._next()
            elif self._symbol != end:
                raise self._wrong(f", or {end}")
        self._next()
        return names

    # --- tokens --------------------------------------------------------------------------------

    @property
    def _symbol(self) -> str:
        return self._symbols[self._at][0] if self._at < len(self._symbols) else ""

    @property
    def _line(self) -> int:
        at = min(self._at, len(self._symbols) - 1)
        return self._symbols[at][1] if self._symbols else 1

    def _next(self) -> None:
        self._at += 1

    def _take(self) -> str:
        """Take a name, a number or a text."""
        symbol = self._symbol
        if symbol in ("", "(", ")", "{", "}", ","):
            raise self._wrong("a name")
        self._next()
        return symbol

    def _expect(self, symbol: str) -> None:
        if self._symbol != symbol:
            raise self._wrong(symbol)
        self._next()

    def _wrong(self, expected: str) -> AccessFileError:
        found = repr(self._symbol) if self._symbol else "the end of the file"
        return AccessFileError(f"line {self._line}: {expected} expected, not {found}")


def _symbols(text: str) -> Iterator[tuple[str, int]]:
    """Return the symbols of the text, each with its line."""
    at, line = 0, 1
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise AccessFileError(f"line {line}: a text without its closing quote")
        at = found.end()
        _, newline, quoted, mark, word = found.groups()
        if newline:
            line += 1
        elif symbol := quoted if quoted is not None else mark or word:
            yield symbol, line
