r"""Expands EPICS macros: `$(P)`, `${P}`, `$(Q=default)`, as macLib of EPICS base does.

Pure: the macros come as a mapping. The environment is not read.

As in macLib, a value, a name and a default may contain macros. A default is used only if it is
needed, and `\$` is a dollar that begins no macro. Unlike in macLib, a comma in a default is just a
comma (no scoped `$(A,B=1)`), and single quotes mean nothing (TOML has its own). An undefined macro
is an error, not the text "$(P,undefined)". A dollar without a bracket is a dollar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Macros within macros; far more than anyone needs, far fewer than Python's stack allows.
MAX_DEPTH = 50
_CLOSING = {"(": ")", "{": "}"}


class MacroError(ValueError):
    """A macro cannot be expanded; the text names it and says what to do."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """`$(name=default)`, parsed and not expanded."""

    name: _Text
    default: _Text | None


_Text = tuple["str | _Reference", ...]


def expand(text: str, macros: Mapping[str, str]) -> str:
    """Return `text` with every macro replaced.

    Raises:
        MacroError: a macro is undefined and has no default, contains itself, or has no end.
    """
    parts, _ = _read(text, 0, "", 0)
    return _write(parts, macros, ())


def _read(text: str, at: int, ends: str, depth: int) -> tuple[_Text, int]:
    """Read from `at` to one of the characters `ends`, or to the end of `text`."""
    parts: list[str | _Reference] = []
    while at < len(text) and text[at] not in ends:
        if text.startswith("\\$", at):
            parts.append("$")
            at += 2
        elif text[at] == "$" and text[at + 1 : at + 2] in ("(", "{"):
            reference, at = _read_reference(text, at, depth + 1)
            parts.append(reference)
        else:
            parts.append(text[at])
            at += 1
    return tuple(parts), at


def _read_reference(text: str, start: int, depth: int) -> tuple[_Reference, int]:
    if depth > MAX_DEPTH:
        raise MacroError(f"macros are nested more than {MAX_DEPTH} deep")
    closing = _CLOSING[text[start + 1]]
    name, at = _read(text, start + 2, "=" + closing, depth)
    default = None
    if text[at : at + 1] == "=":
        default, at = _read(text, at + 1, closing, depth)
    if at == len(text):
        raise MacroError(f"{text[start:][:40]!r} has no closing {closing!r}")
    return _Reference(name, default), at + 1


def _write(parts: _Text, macros: Mapping[str, str], within: tuple[str, ...]) -> str:
    return "".join(
        part if isinstance(part, str) else _look_up(part, macros, within) for part in parts
    )


def _look_up(reference: _Reference, macros: Mapping[str, str], within: tuple[str, ...]) -> str:
    """Return the value of one macro; `within` are the names whose values have led here."""
    name = _write(reference.name, macros, within)
    if not name:
        raise MacroError("a macro without a name; write $(NAME)")
    value = macros.get(name)
    if value is None:
        if reference.default is None:
            raise MacroError(
                f"macro {name!r} is not defined; set it in the environment or in MACROS,"
                f" or give it a default: $({name}=...)"
            )
        return _write(reference.default, macros, within)
    path = (*within, name)
    if name in within:
        raise MacroError(f"macro {name!r} contains itself: {' -> '.join(path)}")
    if len(path) > MAX_DEPTH:
        raise MacroError(f"macros are nested more than {MAX_DEPTH} deep, at {name!r}")
    parts, _ = _read(value, 0, "", 0)
    return _write(parts, macros, path)
