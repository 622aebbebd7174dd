r"""EPICS macros in text: `$(P)`, `${P}`, `$(Q=default)`, as macLib of EPICS base expands them.

Pure: the macros come as a mapping, nothing is read from the environment here.

Like macLib: a value, a name and a default may contain macros, a default is only looked at when it
is needed, and `\$` is a dollar that starts no macro. Unlike macLib: a comma in a default is just a
comma (no scoped `$(A,B=1)`), single quotes mean nothing (TOML has its own), and an undefined macro
is an error instead of the text "$(P,undefined)". A dollar without a bracket is a dollar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_DEPTH = 50  # macros within macros; far more than anyone writes, far less than Python's stack
_CLOSING = {"(": ")", "{": "}"}


class MacroError(ValueError):
    """A macro cannot be expanded; the text names it and says what to do."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """`$(name=default)`, read but not looked up."""

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
    """Read from `at` up to one of the characters `ends`, or to the end of `text`."""
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
    """Replace one macro; `within` are the names whose values led here."""
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
