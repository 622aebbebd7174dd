"""Says what is wrong with a configuration, in its author's words: file, key, remedy.

It only makes texts of the messages of tomllib and pydantic. It decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

_THEIR_WORDS = (
    (" for <class 'pathlib.Path'>", ""),
    ("a valid tuple", "a list"),
    ("a valid dictionary", "a table"),
    ("a valid mapping", "a table"),
)


class ConfigError(Exception):
    """The configuration cannot be used; the text has one line for each problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def toml_problem(text: str) -> str:
    """Return a message of tomllib with the line before it, and what to do."""
    found = re.fullmatch(
        r"(.*) \(at (?:line (\d+), column \d+|(end of document))\)", text, re.DOTALL
    )
    what, line, end = found.groups() if found else (text, None, None)
    if twice := re.match(r"Cannot declare \('instance', '(.*)'\) twice", what):
        what = f"a second [instance.{twice[1]}]; give each instance a name of its own"
    elif what.startswith("Cannot overwrite a value"):
        what = "a key that is there already; keep one of the two"
    return f"line {line}: {what}" if line else f"{end or 'TOML'}: {what}"


def unknown_key(key: str, known: Collection[str], elsewhere: str) -> str:
    """Return what an unknown key may be meant for; `elsewhere` is the table that has it, if any."""
    import difflib  # imported here, for the case of an error only

    if elsewhere:
        return f"unknown key here; move it {elsewhere}"
    close = difflib.get_close_matches(key, known, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
    return f"unknown key; {remedy}"


def setting_problem(error: Any, written: Mapping[str, str], label: str) -> str:
    """Return one of pydantic's errors (an `ErrorDetails`) in words.

    Args:
        error: from a field; or from a whole model, and then its text is `key: what is wrong`.
        written: where each key was written.
        label: where a key would be that nobody wrote.
    """
    text = error["msg"].removeprefix("Value error, ")
    if error["loc"]:
        key, *inner = error["loc"]
    else:
        (key, text), inner = text.split(": ", 1), []
    where = written.get(key) or f"{label} {key}".strip()
    where += "".join(
        f"[{at}]" if isinstance(at, int) else f".{at}" for at in inner if at != "[key]"
    )
    if start := re.match(r"Input (should be|is not)", text):
        text = f"is {error['input']!r}, should be{text[start.end() :]}"
    for theirs, ours in _THEIR_WORDS:
        text = text.replace(theirs, ours)
    return f"{where}: {text}"
